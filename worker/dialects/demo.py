"""The provider `demo`: deterministic text at a set pace, plainly not a model. It needs no network. Pure.

The same prompt and model name give the same text, on every machine and version of Python.
"""

import hashlib
from collections.abc import Generator, Iterator
from itertools import chain, islice

from tokentail.jobs.job import FinishReason
from tokentail.jobs.models import ServedModel, demo_options
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import Reasoning
from worker.chunk import Chunk
from worker.dialects.script import ending, paced, prompt_of

_OPENING = "This is the Tokentail demo, not a language model: it strings random words together at a steady pace."
_VOCABULARY = (
    "river stone lantern quiet morning window garden silver paper cloud harbour winter copper little yellow road "
    "mountain letter echo bridge feather amber evening island meadow candle orchard velvet sparrow autumn marble "
    "whisper café naïve crème über señor smörgås 東京 città 🙂 Ωmega żuraw piñata façade déjà"
)
_SENTENCE = 12  # words


class Demo:
    """The demo, which takes its length and pace from the model's name: `demo?tokens=200&tps=50`.

    `demo?reasoning=40` begins with 40 pieces of reasoning, at the same pace. They are not in `max_tokens`.
    """

    def __init__(self) -> None:
        self.name = "demo"
        self.served = ServedModel("demo", "demo", "demo")

    def steps(self, request: GenerationRequest, model: str) -> Generator[tuple[float, list[Chunk]]]:
        """Token i is due at i / tps seconds, whatever happened before; with tps=0 everything is due at once."""
        options = demo_options(model)
        length, tps = options["tokens"], options["tps"]
        asked = request.max_tokens or length
        sent = min(length, asked)
        seed = f"{model}\n{prompt_of(request)}"
        thoughts = [Reasoning(word) for word in islice(_sentences(f"{seed}\nreasoning"), options.get("reasoning", 0))]
        due_s = yield from paced(chain(thoughts, islice(_text(seed), sent)), tps)
        yield due_s, ending(FinishReason.LENGTH if asked < length else FinishReason.STOP, request, sent)


def _text(seed: str) -> Iterator[str]:
    first, *others = _OPENING.split()
    return chain([first], (f" {word}" for word in others), _sentences(seed))


def _sentences(seed: str) -> Iterator[str]:
    words = _VOCABULARY.split()
    inner = [f" {word}" for word in words]
    opening = [f" {word[0].upper()}{word[1:]}" for word in words]
    closing = [f" {word}." for word in words]
    count = len(words)
    digits = _digits(seed)
    while True:
        first, *middle, last = islice(digits, _SENTENCE)
        yield opening[first % count]
        for digit in middle:
            yield inner[digit % count]
        yield closing[last % count]


def _digits(seed: str) -> Iterator[int]:
    """Endless bytes that depend on nothing but the seed."""
    key = hashlib.sha256(seed.encode("utf-8")).digest()
    block = 0
    while True:
        yield from hashlib.shake_128(key + block.to_bytes(8, "big")).digest(1200)
        block += 1
