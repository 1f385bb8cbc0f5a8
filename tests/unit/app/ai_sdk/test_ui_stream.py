"""The AI SDK's chunks on the server and in pages: both sides make the same of every log."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.ai_sdk.earlier_parts import chunks_of_parts
from app.ai_sdk.ui_stream import UiStream
from tests.programs import NODE
from tests.unit.app.ai_sdk.cases import CASES, JOB, batches_of
from tests.unit.app.openai.recorded_logs import Log, recorded_logs, text_of
from tokentail.log.batch import Batch

CHUNKS = CASES["chunks"]
LOGS = recorded_logs()
CLIENT = Path(__file__).parents[4] / "clients" / "js" / "src"
PROGRAM = """
import {{ ChatChunks }} from "{client}/chat_chunks.js";
import {{ requestMessages }} from "{client}/chat_messages.js";
import {{ chunksOfParts }} from "{client}/earlier_parts.js";
let text = "";
for await (const part of process.stdin) text += part;
const {{ job, reads, messages, parts }} = JSON.parse(text);
const made = reads.map((steps) => {{
  const chunks = new ChatChunks(job);
  return steps.flatMap((step) => [...chunks.of(step)]);
}});
console.log(JSON.stringify({{ made, messages: messages.map(requestMessages), earlier: parts.map(chunksOfParts) }}));
"""


def said(stream: bytes) -> list[Any]:
    """The data of the events. Every event is one line and an empty line."""
    events = stream.decode().split("\n\n")
    assert events.pop() == ""
    for event in events:
        assert event.startswith("data: ")
        assert len(event.splitlines()) == 1, "no client may find a line break in an event"
    return ["[DONE]" if e == "data: [DONE]" else json.loads(e.removeprefix("data: ")) for e in events]


def chunks_of(batches: list[Batch]) -> list[Any]:
    """The chunks of one stream after its opening."""
    fold = UiStream(JOB, JOB)
    return said(b"".join(map(fold.take, batches)))


@pytest.mark.parametrize("case", CHUNKS, ids=lambda case: case["name"])
def test_elements_become_chunks(case: dict[str, Any]) -> None:
    """In the order of the log; only a completed job has `finish` and the end marker."""
    chunks = chunks_of(batches_of(case))
    is_completed = chunks[-1] == "[DONE]"
    assert chunks[: -1 if is_completed else None] == case["chunks"]
    assert is_completed == (case["chunks"][-1]["type"] == "finish")


def test_the_opening_names_the_message_and_the_job() -> None:
    """A stream that continues a message has the id of that message."""
    start = {"type": "start", "messageId": "m", "messageMetadata": {"job": JOB}}
    assert said(UiStream(JOB, "m").opening()) == [start, {"type": "start-step"}]


@pytest.mark.parametrize("case", CASES["parts"], ids=lambda case: case["name"])
def test_a_resumed_message_begins_with_what_it_had(case: dict[str, Any]) -> None:
    """The earlier parts come first; a reset removes only the step that follows them."""
    opening = said(UiStream(JOB, "m", chunks_of_parts(case["parts"])).opening())
    assert opening[1:-1] == case["chunks"]
    assert opening[-1] == {"type": "start-step"}


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_recorded_log_is_the_same_however_it_is_cut(log: Log) -> None:
    """Cut at every element, the chunks are those of one read; the texts are the log's."""
    whole = chunks_of([log.batch()])
    for at in range(len(log.elements) + 1):
        assert chunks_of([log.batch(0, at), log.batch(at)]) == whole
    refused = (json.loads(e) for e in log.elements if b'"type":"refusal"' in e)
    if not any(refused):
        assert "".join(c["delta"] for c in whole if c != "[DONE]" and c["type"] == "text-delta") == text_of(log)


@pytest.mark.checkout
def test_pages_make_the_same_of_every_log_and_every_message() -> None:
    """The transport of `tokentail.js` and the endpoints show one answer, and submit one request, for one chat."""
    reads = [[{"reset": batch.is_reset, "events": list(map(json.loads, batch.elements))}] for batch in _all_of(LOGS)]
    for case in CHUNKS:
        resets = case.get("resets", [])
        reads.append([{"reset": n in resets, "events": read} for n, read in enumerate(case["reads"])])
    given = {
        "job": JOB,
        "reads": reads,
        "messages": [case["ui"] for case in CASES["messages"]],
        "parts": [case["parts"] for case in CASES["parts"]],
    }
    argv = [NODE.require(), "--input-type=module", "-e", PROGRAM.format(client=CLIENT.as_uri())]
    ran = subprocess.run(argv, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    ours = [chunks_of([batch]) for batch in _all_of(LOGS)] + [chunks_of(batches_of(case)) for case in CHUNKS]
    for log, theirs, own in zip([*LOGS, *CHUNKS], told["made"], ours, strict=True):
        assert theirs == [chunk for chunk in own if chunk != "[DONE]"], log
    assert told["messages"] == [case["ours"] for case in CASES["messages"]]
    assert told["earlier"] == [case["chunks"] for case in CASES["parts"]]


def _all_of(logs: list[Log]) -> list[Batch]:
    return [log.batch() for log in logs]
