"""The tables in docs/dialects: each row says what becomes of what the SDK defines, and that is what happens."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.dialect_tables import Row, dialects, rows
from tests.unit.worker.recorded_streams import played
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.openai.completions import OpenAiCompletions
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.provider import HttpProvider

ROWS = Path(__file__).parents[3] / "dialect_rows"
_PROVIDERS: dict[str, HttpProvider] = {
    "anthropic": Anthropic("p/*", "https://api.example", "key"),
    "gemini": Gemini("p/*", "https://api.example", "key"),
    "ollama": Ollama("p/*", "https://api.example", "key"),
    "openai_chat": OpenAiChat("p/*", "https://api.example/v1", "key"),
    "openai_completions": OpenAiCompletions("p/*", "https://api.example/v1", "key"),
    "openai_responses": OpenAiResponses("p/*", "https://api.example/v1", "key"),
}
_ROWS = [(dialect, row) for dialect in dialects() for row in rows(dialect)]
_IDS = [f"{dialect}-{row.section}-{row.name}" for dialect, row in _ROWS]
_NOTHING = "nothing: "


@cache
def _examples(dialect: str) -> dict[str, Any]:
    """The examples of a dialect's rows, and the frame that makes each a whole answer."""
    found: dict[str, Any] = json.loads((ROWS / f"{dialect}.json").read_text("utf-8"))
    return found


def outcomes_of(dialect: str, section: str, name: str) -> list[str]:
    """What the example of a row gives, in the words of the tables.

    An example is events for the dialect's frame, whose own outcomes do not count; or a whole answer (`stream`), whose
    outcomes `beside` that of the row do not count.
    """
    frame, examples = _examples(dialect)["frame"], _examples(dialect)["rows"][section]
    example = examples[name] if name in examples else json.loads(json.dumps(examples["*"]).replace("NAME", name))
    if isinstance(example, dict):
        return [
            outcome for outcome in _outcomes(dialect, example["stream"]) if outcome not in example.get("beside", ())
        ]
    alone = _outcomes(dialect, [*frame["before"], *frame["after"]])
    whole = _outcomes(dialect, [*frame["before"], *example, *frame["after"]])
    return [outcome for outcome, count in whole.items() if count > alone[outcome]]


def _outcomes(dialect: str, values: list[Any]) -> Counter[str]:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    stream = "".join(f"{text}\n" if dialect == "ollama" else f"data: {text}\n\n" for text in texts)
    return Counter(
        word for chunk in played([stream.encode()], provider=_PROVIDERS[dialect]) for word in _words_of(chunk)
    )


def _words_of(chunk: Any) -> list[str]:
    match chunk:
        case str():
            return ["text"]
        case {"type": "finish", "reason": reason}:
            return [f"finish_reason: {reason or 'null'}"]
        case {"type": "usage", **counts}:
            return [f"usage: {name}" for name, count in counts.items() if count is not None]
        case {"type": "failure", "kind": kind, "is_retryable": is_retryable}:
            return [f"failed: {kind}, {'retryable' if is_retryable else 'final'}"]
        case {"type": "terminal" | "accepted" | "position"}:
            return []
        case {"type": kind, **fields}:
            shown = [] if kind == "reasoning" and not fields["text"] else [kind]
            return [*shown, *(["provider_state"] if "provider_state" in fields else [])]
    raise ValueError(f"{chunk!r} has no word in the tables.")


@pytest.mark.parametrize(("dialect", "row"), _ROWS, ids=_IDS)
def test_what_a_table_says_of_a_value_is_what_becomes_of_it(dialect: str, row: Row) -> None:
    """What has an outcome is said to have it; what has none is said to have none, with the reason."""
    found = outcomes_of(dialect, row.section, row.name)
    if row.outcome.startswith(_NOTHING):
        assert row.outcome.removeprefix(_NOTHING).strip(), "a reason is given"
        assert found == []
    else:
        assert found == re.findall("`([^`]+)`", row.outcome.partition(" (")[0])
        assert "skipped" not in found, "what the SDK defines is known here"


def test_every_dialect_has_its_tables() -> None:
    """A dialect that is served and not described would be one whose losses nobody sees."""
    assert dialects() == sorted(_PROVIDERS)
    assert all(len(rows(dialect)) > 10 for dialect in dialects())
