"""An answer that its provider keeps, when its stream cannot be read any more: it is paid for, so it is fetched."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.conftest import MakeBackend
from tests.contract.runner_harness import PROMPT, RunnerHarness, whole
from tests.unit.worker.recorded_streams import LOST, PlayedAnswer, PlayedTransport
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from worker.dialects.openai.responses import OpenAiResponses

BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)

BuildOver = Callable[..., RunnerHarness]


@pytest.fixture
def build_over(make_backend: MakeBackend) -> Iterator[BuildOver]:
    """`build_over(transport, …)`: a runner whose provider keeps its answers and is behind that transport."""
    harnesses: list[RunnerHarness] = []

    def make(transport: PlayedTransport, **environment: str) -> RunnerHarness:
        harnesses.append(
            RunnerHarness(make_backend(**environment), whole, None, (BACKGROUND, transport), **environment)
        )
        return harnesses[-1]

    yield make
    for harness in harnesses:
        gevent.killall(harness.greenlets)


def event(kind: str, number: int, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": f"response.{kind}", "sequence_number": number, **fields}).encode() + b"\n\n"


CREATED = event("created", 0, response={"id": "resp_1", "status": "in_progress"})
HELLO = event("output_text.delta", 1, item_id="m", output_index=0, content_index=0, delta="Hello")
TOO_OLD = b'{"error": {"message": "This response can no longer be streamed."}}'


def cut(*events: bytes) -> PlayedAnswer:
    return PlayedAnswer([CREATED, *events], ending=LOST)


def refused(status: int = 400) -> PlayedAnswer:
    return PlayedAnswer([TOO_OLD], status=status)


def stored(status: str, *output: Any, **fields: Any) -> PlayedAnswer:
    body = {"id": "resp_1", "object": "response", "status": status, "output": list(output), **fields}
    return PlayedAnswer([json.dumps(body).encode()])


def message(text: str, kind: str = "output_text") -> dict[str, Any]:
    content = {"type": kind, "text" if kind == "output_text" else "refusal": text, "annotations": []}
    return {"type": "message", "id": "m", "role": "assistant", "content": [content]}


def call(arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "f", "arguments": arguments}


def elements(harness: RunnerHarness, job_id: str) -> list[Any]:
    batch = harness.backend.store.read(job_id, BEGINNING, 1000)
    return [decode(element) for element in batch.elements]


def starts(harness: RunnerHarness, job_id: str) -> int:
    """How many generations the whole log has."""
    log = harness.backend.buffer_client.lrange(f"tt:{{{job_id}}}:log", 0, -1)
    return sum(element.startswith(b'{"type":"start"') for element in log)


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_stream_that_is_too_old_is_replaced_by_the_stored_answer(build_over: BuildOver, status: int) -> None:
    """The rest follows in the same generation: one POST, no cancel, nothing twice."""
    usage = {"input_tokens": 3, "output_tokens": 2}
    transport = PlayedTransport(cut(HELLO), refused(status), stored("completed", message("Hello world"), usage=usage))
    harness = build_over(transport)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello world"
    assert starts(harness, job_id) == 1
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET"]
    end = harness.job(job_id).end or {}
    assert (end["finish_reason"], end["usage"]["output_tokens"]) == ("stop", 2)


def test_an_answer_that_goes_on_is_waited_for(build_over: BuildOver) -> None:
    """The answer is looked at until it has ended, through failures of a single look."""
    goes_on, busy = stored("in_progress"), PlayedAnswer([b"{}"], status=503)
    transport = PlayedTransport(cut(HELLO), refused(), goes_on, busy, stored("completed", message("Hello world")))
    harness = build_over(transport)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello world"


def test_an_incomplete_answer_ends_with_its_reason(build_over: BuildOver) -> None:
    """The model's limit is not a failure."""
    details = {"reason": "max_output_tokens"}
    ended = stored("incomplete", message("Hello wor"), incomplete_details=details)
    harness = build_over(PlayedTransport(cut(HELLO), refused(), ended))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert (harness.text(job_id), (harness.job(job_id).end or {})["finish_reason"]) == ("Hello wor", "length")


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        ("failed", {"code": "server_error", "message": "The model broke."}, "failed: unavailable"),
        ("failed", {"code": "rate_limit_exceeded", "message": "Slow down."}, "failed: rate_limited"),
        ("cancelled", None, "failed: unavailable"),
    ],
)
def test_an_answer_that_has_failed_is_not_paid_for_again(
    build_over: BuildOver, status: str, error: Any, outcome: str
) -> None:
    """The answer's failure is the job's, what was shown stays, and neither another POST nor a cancel follows."""
    transport = PlayedTransport(cut(HELLO), refused(), stored(status, error=error))
    harness = build_over(transport)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == outcome
    assert harness.text(job_id) == "Hello"
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET"]


def test_a_failure_whose_words_repeat_the_prompt_is_final_too(build_over: BuildOver) -> None:
    """To leave the words out must not make the failure one of a call."""
    error = {"code": "server_error", "message": f"Cannot go on with: {PROMPT}"}
    transport = PlayedTransport(cut(HELLO), refused(), stored("failed", error=error))
    harness = build_over(transport)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "failed: unavailable"
    assert PROMPT not in harness.error(job_id)["message"]
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET"]


def test_what_a_failed_answer_has_is_shown(build_over: BuildOver) -> None:
    """The part that was written before the failure has been paid for, too."""
    ended = stored("failed", message("Hello wor"), error={"code": "server_error", "message": "x"})
    harness = build_over(PlayedTransport(cut(HELLO), refused(), ended))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "failed: unavailable"
    assert harness.text(job_id) == "Hello wor"


def test_tool_calls_go_on_where_they_were_cut(build_over: BuildOver) -> None:
    """The pieces of a call join to its whole arguments."""
    begun = event("output_item.added", 1, output_index=0, item=call(""))
    piece = event("function_call_arguments.delta", 2, output_index=0, item_id="fc", delta='{"a"')
    harness = build_over(PlayedTransport(cut(begun, piece), refused(), stored("completed", call('{"a":1}'))))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    calls = [e for e in elements(harness, job_id) if isinstance(e, dict) and e["type"] == "tool_call"]
    assert {e["index"] for e in calls} == {0}
    assert "".join(e.get("arguments", "") for e in calls) == '{"a":1}'
    assert (harness.job(job_id).end or {})["finish_reason"] == "tool_calls"


def test_reasoning_and_refusal_follow_as_well(build_over: BuildOver) -> None:
    """Whatever the answer holds, and even where nothing of it was shown."""
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]}
    harness = build_over(PlayedTransport(cut(), refused(), stored("completed", thought, message("No.", "refusal"))))
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    told = [(e["type"], e["text"]) for e in elements(harness, job_id) if isinstance(e, dict) and e.get("text")]
    assert told == [("reasoning", "Hm."), ("refusal", "No.")]


def test_another_text_than_the_one_shown_begins_a_generation(build_over: BuildOver) -> None:
    """Readers clear what they have, and nothing is paid for again."""
    transport = PlayedTransport(cut(HELLO), refused(), stored("completed", message("Goodbye")))
    harness = build_over(transport)
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert (harness.text(job_id), starts(harness, job_id)) == ("Goodbye", 2)
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET"]


def test_when_no_retry_is_left_the_stored_answer_is_fetched(build_over: BuildOver) -> None:
    """A network that cuts every stream loses no answer that the provider keeps."""
    transport = PlayedTransport(cut(HELLO), cut(), stored("completed", message("Hello world")))
    harness = build_over(transport, TOKENTAIL_RETRIES="1")
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello world"


def test_silence_cancels_no_answer_that_is_kept(build_over: BuildOver) -> None:
    """The stream of the answer is taken up again; if that is silent, too, the stored answer is fetched."""

    def then_silence(*pieces: bytes) -> Iterator[bytes]:
        yield from pieces
        Event().wait()

    silent, still = PlayedAnswer(then_silence(CREATED, HELLO)), PlayedAnswer(then_silence())
    transport = PlayedTransport(silent, still, stored("completed", message("Hello world")))
    harness = build_over(transport, TOKENTAIL_IDLE_TIMEOUT_S="0.2", TOKENTAIL_FIRST_TOKEN_TIMEOUT_S="0.2")
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "completed"
    assert harness.text(job_id) == "Hello world"
    assert [call.method for call in transport.calls] == ["POST", "GET", "GET"]


def test_the_whole_time_of_an_attempt_bounds_the_waiting(build_over: BuildOver) -> None:
    """When it has passed nobody will read the answer, so it is cancelled: it would go on at a price."""
    looks = [stored("in_progress") for _ in range(9)]
    transport = PlayedTransport(cut(HELLO), refused(), *looks)
    harness = build_over(transport, TOKENTAIL_JOB_TIMEOUT_S="2")
    job_id = harness.submit("openai/m")
    assert harness.run(job_id) == "failed: timeout"
    assert transport.calls[-1].url.endswith("/cancel")
    assert harness.text(job_id) == "Hello"
