"""Recorded streams of every dialect give the same, however the network cuts them, and whatever breaks them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import LOST, OPENAI, STREAMS, every_split, mangled, played, recorded
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.completions import OpenAiCompletions
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.provider import HttpProvider

_KEY = "sk-secret-key-of-ours"
PROVIDERS: dict[str, HttpProvider] = {
    "anthropic": Anthropic("anthropic/*", "https://api.example/", _KEY),
    "gemini": Gemini("gemini/*", "https://gemini.example/", _KEY),
    "ollama": Ollama("ollama/*", "http://ollama.example:11434/", ""),
    "openai_chat": OPENAI,
    "openai_completions": OpenAiCompletions("base/*", "https://api.example/v1/", _KEY),
    "openai_responses": OpenAiResponses("openai/*", "https://api.example/v1/", _KEY),
}
# The same recordings, read by a provider that also tells positions.
BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", _KEY, is_background=True)
NAMES = {dialect: sorted(path.stem for path in (STREAMS / dialect).glob("*.json")) for dialect in PROVIDERS}


def test_every_dialect_has_recordings() -> None:
    """Every dialect has recordings, and every folder of recordings has its dialect."""
    assert all(NAMES.values())
    assert {path.name for path in STREAMS.iterdir() if path.is_dir()} == set(PROVIDERS)


@pytest.mark.parametrize(("dialect", "name"), [(dialect, name) for dialect, names in NAMES.items() for name in names])
def test_a_recorded_stream_gives_its_chunks_however_it_is_split(dialect: str, name: str) -> None:
    """Whole, byte by byte, and at every split in two: the same chunks, and the same failure."""
    stream, expected = recorded(name, dialect)
    for pieces in every_split(stream):
        where = f"first piece of {len(pieces[0]) if pieces else 0} bytes"
        assert played(pieces, provider=PROVIDERS[dialect]) == expected, where


@pytest.mark.parametrize(("dialect", "name"), [(dialect, name) for dialect, names in NAMES.items() for name in names])
def test_only_an_end_marker_makes_up_for_a_lost_connection(dialect: str, name: str) -> None:
    """A connection that is lost where the body should have ended: an answer without its dialect's end marker is cut,
    also after a finish reason. What was said before stays, and so does what the provider said of a failure."""
    stream, expected = recorded(name, dialect)
    given = played([stream], ending=LOST, provider=PROVIDERS[dialect])
    if given == expected:
        assert [
            chunk for chunk in expected[-2:] if isinstance(chunk, dict) and chunk["type"] in {"terminal", "failure"}
        ]
    else:
        # An end marker whose line was not ended counts only at the body's clean end.
        assert {"type": "terminal"} not in expected or not stream.endswith((b"\n", b"\r"))
        assert given[-1] == {"type": "failure", "kind": "truncated", "is_retryable": True}
        assert given[:-1] == expected[: len(given) - 1]


@pytest.mark.parametrize("dialect", [*PROVIDERS, "background"])
@settings(max_examples=150, deadline=None)
@given(draw=st.data())
def test_no_bytes_break_a_provider(dialect: str, draw: st.DataObject) -> None:
    """Recorded streams with bytes changed, cut out and put in give chunks or a ProviderFailure, never another error."""
    provider = PROVIDERS.get(dialect, BACKGROUND)
    of = dialect if dialect in PROVIDERS else "openai_responses"
    stream = mangled(draw, recorded(draw.draw(st.sampled_from(NAMES[of])), of)[0])
    at = draw.draw(st.integers(0, len(stream)))
    whole = played([stream], provider=provider)
    assert played([stream[:at], stream[at:]], provider=provider) == whole
    for chunk in whole:
        json.dumps(chunk, ensure_ascii=False).encode("utf-8")  # nothing that a log cannot hold
