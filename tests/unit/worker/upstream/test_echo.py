"""Echoes: a failure's words never carry the request or the key, however a provider writes what it repeats."""

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tests.unit.worker.recorded_streams import PlayedAnswer, failure_of
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import GenerationRequest, parse_request
from worker.chunk import provider_failure
from worker.upstream.echo import without_echo
from worker.upstream.provider import HttpCall

SECRET = 'Meet "Ana"\nat 5 o\'clock in the café <behind> Łódź & bring 300€. 😀 Очень секретно. 你好世界你好世界'
CALL = HttpCall("https://user:pass-word-1@provider/v1", {"Authorization": "Bearer sk-secret-key-of-ours"})
_WORDS = "This model's maximum context length is 128000 tokens. Please reduce the length of the messages."

WRITINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps({"error": json.dumps({"input": text})}),
    "HTML": html.escape,
    "HTML by number": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "URL": quote,
    "form": quote_plus,
    "other spaces": lambda text: "\n\t".join(text.split()),
    "no spaces": lambda text: "".join(text.split()),
    "upper case": lambda text: "".join(c.upper() if c.isascii() else c for c in text),
    "quoted lines": lambda text: "> " + text.replace("\n", "\n> "),
    "Markdown": lambda text: "**" + text.replace(" ", "** **") + "**",
}


@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize("part", [slice(None), slice(30), slice(20, 50), slice(-22, None)], ids=str)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_part_of_the_prompt_is_recognized_however_it_is_written(
    writing: Callable[[str], str], part: slice, status: int
) -> None:
    """Failures travel into logs; a quotation mark or a percent sign more is no disguise."""
    body = json.dumps({"error": {"message": f"Bad input: {writing(SECRET[part])}", "code": "bad"}}).encode()
    failure = failure_of(PlayedAnswer([body], status=status), request=GenerationRequest(prompt=SECRET)).failure
    assert "repeat the request" in failure.message
    assert failure.provider_code is None


@pytest.mark.parametrize("left", [30, 20, 12, 9])
def test_an_echo_that_is_cut_is_recognized_by_what_was_cut_off(left: int) -> None:
    """A message has 500 characters and a code 100: the beginning of a prompt may stand just before the end."""
    for name, most in (("message", 500 - len("The provider answered with status 400: ")), ("code", 100)):
        said = "x " * most
        body = json.dumps({"error": {name: said[: most - left] + SECRET}}).encode()
        failure = failure_of(PlayedAnswer([body], status=400), request=GenerationRequest(prompt=SECRET)).failure
        assert "Meet" not in failure.message + str(failure.provider_code)


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [{"role": "system", "content": SECRET}, {"role": "user", "content": "x"}]},
        {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f", "description": SECRET}}]},
        {"prompt": "x", "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": [SECRET]}}}]},
        {"prompt": "x", "extra": {"instructions": {"of": [SECRET]}}},
        {
            "prompt": "x",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"description": SECRET}}},
        },
    ],
    ids=["system", "description", "parameters", "extra", "schema"],
)
def test_whatever_was_written_for_the_model_is_recognized(asked: dict[str, object]) -> None:
    """A prompt is more than the last message."""
    body = json.dumps({"error": {"message": f"Bad input: {SECRET}"}}).encode()
    failure = failure_of(PlayedAnswer([body], status=400), request=parse_request(json.dumps(asked).encode())).failure
    assert "repeat the request" in failure.message


@pytest.mark.parametrize(
    "words",
    [
        "unknown: sk-secret-key-of-ours",
        "unknown: sk%2Dsecret%2Dkey%2Dof%2Dours",
        "unknown: sk\\u002dsecret\\u002dkey",
        "unknown: …et-key-of-ours",
        "no such user: pass-word-1",
    ],
)
def test_a_part_of_the_key_is_recognized(words: str) -> None:
    """Whatever else a provider says, a key that stands in a log has to be replaced."""
    failure = provider_failure(FailureKind.REJECTED, words)
    assert without_echo(failure, GenerationRequest(prompt="x"), CALL, list) is not failure


@pytest.mark.parametrize(
    "request_",
    [
        GenerationRequest(prompt="Tell me of the sea, at length. " * 100_000),
        parse_request(b'{"prompt": "x", "extra": {"chat_template_kwargs": {"enable_thinking": true}}}'),
        GenerationRequest(prompt="x", model="openai/gpt-4o-mini-2024-07-18"),
    ],
    ids=["large", "extra", "model"],
)
def test_words_that_repeat_nothing_are_kept(request_: GenerationRequest) -> None:
    """What is wrong, and the names of the fields and models that it is wrong with, is what a developer needs."""
    said = f"{_WORDS} Unknown argument: chat_template_kwargs. No model gpt-4o-mini-2024-07-18."
    failure = provider_failure(FailureKind.REJECTED, said)
    assert without_echo(failure, request_, CALL, list) is failure


def test_a_large_request_is_looked_at_in_pieces() -> None:
    """After each piece other jobs run, and a piece is small: thousands of small texts are no exception."""
    prose = GenerationRequest(prompt="Once upon a time there was a fox. " * 120_000)
    many = parse_request(json.dumps({"prompt": "x", "extra": {"of": [["x"] * 3] * 50_000}}).encode())
    for request in (prose, many):
        rests: list[None] = []
        without_echo(provider_failure(FailureKind.REJECTED, _WORDS), request, CALL, lambda: rests.append(None))  # noqa: B023
        assert len(rests) > 200


def test_other_jobs_run_while_a_refusal_is_looked_at() -> None:
    """The source gives way by the sleep that it was given."""
    turns: list[float] = []
    body = json.dumps({"error": {"message": _WORDS}}).encode()
    request = GenerationRequest(prompt="Once upon a time there was a fox. " * 120_000)
    failure = failure_of(PlayedAnswer([body], status=400), request=request, sleep=turns.append)
    assert "maximum context length" in failure.failure.message
    assert len(turns) > 200
