"""Answers of Gemini that go on in another call, from a token: above what one call may write, and after a cut."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tests.conftest import MakeBackend
from tests.contract.runner_harness import RunnerHarness, whole
from tests.unit.worker.recorded_streams import LOST, PlayedAnswer, PlayedTransport
from tokentail.log.cursor import BEGINNING
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import now_ms
from worker.chunk import Position
from worker.dialects.google.gemini import Gemini

GEMINI = Gemini("gemini/*", "https://api.example", "secret-key-of-ours")

BuildOver = Callable[..., RunnerHarness]


@pytest.fixture
def build_over(make_backend: MakeBackend) -> Iterator[BuildOver]:
    """`build_over(transport, …)`: a runner whose provider is Gemini behind that transport."""
    harnesses: list[RunnerHarness] = []

    def make(transport: PlayedTransport, **environment: str) -> RunnerHarness:
        harnesses.append(RunnerHarness(make_backend(**environment), whole, None, (GEMINI, transport), **environment))
        return harnesses[-1]

    yield make
    for harness in harnesses:
        gevent.killall(harness.greenlets)


def event(text: str = "", reason: str = "", token: str = "", output: int = 0, **part: Any) -> bytes:
    parts = [{"text": text, **part}] if text or part else []
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    candidate |= {"finishReason": reason} if reason else {}
    candidate |= {"continuationToken": token} if token else {}
    counts = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": output}} if output else {}
    return b"data: " + json.dumps({"candidates": [candidate], **counts}).encode() + b"\n\n"


def tokens_sent(transport: PlayedTransport) -> list[str | None]:
    return [json.loads(call.body).get("continuationToken") for call in transport.calls]


def generations(harness: RunnerHarness, job_id: str) -> int:
    log = harness.backend.buffer_client.lrange(f"tt:{{{job_id}}}:log", 0, -1)
    return sum(element.startswith(b'{"type":"start"') for element in log)


def run(harness: RunnerHarness, outcome: str = "completed") -> str:
    job_id = harness.submit("gemini/m")
    assert harness.run(job_id) == outcome
    return job_id


def test_an_answer_above_the_limit_of_a_call_goes_on(build_over: BuildOver) -> None:
    """The request is sent with the token until the model has ended, in one generation."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, "), event("two, ", "CONTINUATION", "dG9r", output=4)]),
        PlayedAnswer([event("three, ", "CONTINUATION", "dG9s", output=5)]),
        PlayedAnswer([event("four."), event("", "STOP", output=6)]),
    )
    harness = build_over(transport, TOKENTAIL_RETRIES="0")
    job_id = run(harness)
    assert (harness.text(job_id), generations(harness, job_id)) == ("One, two, three, four.", 1)
    assert tokens_sent(transport) == [None, "dG9r", "dG9s"]
    first, second = (json.loads(call.body) for call in transport.calls[:2])
    assert {**first, "continuationToken": "dG9r"} == second
    end = harness.job(job_id).end or {}
    assert end["finish_reason"] == "stop"
    assert (end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (9, 15)


def test_a_cut_stream_is_taken_up_at_its_last_token(build_over: BuildOver) -> None:
    """Nothing of what was shown comes twice or is cleared."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, ", token="dG9r"), event("two, ", token="dG9s", output=2)], ending=LOST),
        PlayedAnswer([event("three."), event("", "STOP", output=2)]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    assert (harness.text(job_id), generations(harness, job_id)) == ("One, two, three.", 1)
    assert tokens_sent(transport) == [None, "dG9s"]


@pytest.mark.parametrize("pieces", [["two, three."], ["t", "wo, thr", "ee."], ["two, ", "three."]])
def test_text_that_was_shown_behind_the_last_token_is_not_shown_again(build_over: BuildOver, pieces: list[str]) -> None:
    """The provider sends it again, because its token is older."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, ", token="dG9r"), event("two, ")], ending=LOST),
        PlayedAnswer([*map(event, pieces), event("", "STOP")]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    assert (harness.text(job_id), generations(harness, job_id)) == ("One, two, three.", 1)


def test_text_that_comes_otherwise_behind_the_last_token_loses_the_place(build_over: BuildOver) -> None:
    """The end of one answer must not follow the beginning of another: the answer is begun anew."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, ", token="dG9r"), event("two, ")], ending=LOST),
        PlayedAnswer([event("deux, trois."), event("", "STOP")]),
        PlayedAnswer([event("Whole."), event("", "STOP")]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    assert (harness.text(job_id), generations(harness, job_id)) == ("Whole.", 2)
    assert tokens_sent(transport) == [None, "dG9r", None]


CALL: dict[str, Any] = {"functionCall": {"name": "look", "args": {}}}
PICTURE: dict[str, Any] = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
CODE: dict[str, Any] = {"executableCode": {"code": "1", "language": "PYTHON"}}


def test_what_follows_in_another_call_is_numbered_on(build_over: BuildOver) -> None:
    """Tool calls, media and code of all calls of one answer have numbers of their own, and calls are its reason."""
    transport = PlayedTransport(
        PlayedAnswer([event(**CALL), event(**PICTURE), event(**CODE, reason="CONTINUATION", token="dG9r")]),
        PlayedAnswer([event(**CALL, token="dG9s"), event(**PICTURE, token="dG9t")], ending=LOST),
        PlayedAnswer([event(**PICTURE), event(**CODE), event("", "STOP")]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    events = [json.loads(element) for element in harness.backend.store.read(job_id, BEGINNING, 100).elements]
    calls = [each for each in events if each["type"] == "tool_call"]
    assert [call["index"] for call in calls] == [0, 1]
    assert calls[0]["id"] != calls[1]["id"]
    assert [each["index"] for each in events if each["type"] == "media"] == [0, 1, 2]
    assert [each["id"] for each in events if each["type"] == "code"] == ["code_0", "code_1"]
    assert (harness.job(job_id).end or {})["finish_reason"] == "tool_calls"
    assert generations(harness, job_id) == 1


def test_a_sound_goes_on_in_the_next_call(build_over: BuildOver) -> None:
    """The pieces of a sound are one medium, and a sound after something else is another."""
    sound: dict[str, Any] = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}}
    transport = PlayedTransport(
        PlayedAnswer([event(**PICTURE), event(reason="CONTINUATION", token="dG9r", **sound)]),
        PlayedAnswer([event(**sound), event(**PICTURE), event(**sound), event("", "STOP")]),
    )
    harness = build_over(transport)
    log = harness.backend.store.read(run(harness), BEGINNING, 100).elements
    assert [each["index"] for each in map(json.loads, log) if each["type"] == "media"] == [0, 1, 1, 2, 3]


def test_a_token_amid_a_call_in_pieces_is_no_place_to_go_on_from(build_over: BuildOver) -> None:
    """The pieces before it would be lost: the answer begins anew."""
    begun: dict[str, Any] = {"functionCall": {"name": "look", "willContinue": True}}
    transport = PlayedTransport(
        PlayedAnswer([event("One, "), event(**begun, token="dG9r")], ending=LOST),
        PlayedAnswer([event("Whole."), event("", "STOP")]),
    )
    harness = build_over(transport)
    assert harness.text(run(harness)) == "Whole."
    assert tokens_sent(transport) == [None, None]


def test_a_token_that_is_refused_is_lost(build_over: BuildOver) -> None:
    """The provider may keep the place for a while only."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, ", token="dG9r")], ending=LOST),
        PlayedAnswer([b'{"error": {"message": "expired"}}'], status=400),
        PlayedAnswer([event("Whole."), event("", "STOP")]),
    )
    harness = build_over(transport)
    assert harness.text(run(harness)) == "Whole."


def test_the_same_token_again_ends_the_answer_at_its_limit(build_over: BuildOver) -> None:
    """To make the same call again would bring the same once more."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, "), event("two, ", "CONTINUATION", "dG9r")]),
        PlayedAnswer([event("three."), event("", "CONTINUATION", "dG9r")]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    assert (harness.text(job_id), (harness.job(job_id).end or {})["finish_reason"]) == ("One, two, three.", "length")


def test_the_reason_without_a_token_is_the_limit(build_over: BuildOver) -> None:
    """There is no place from which the answer could go on."""
    harness = build_over(PlayedTransport(PlayedAnswer([event("One, "), event("two", "CONTINUATION")])))
    job_id = run(harness)
    assert (harness.text(job_id), (harness.job(job_id).end or {})["finish_reason"]) == ("One, two", "length")


def test_reasoning_behind_the_last_token_makes_the_place_unfit(build_over: BuildOver) -> None:
    """Only text is known again; the rest would come twice."""
    transport = PlayedTransport(
        PlayedAnswer([event("One, ", token="dG9r"), event("hm", thought=True)], ending=LOST),
        PlayedAnswer([event("Whole."), event("", "STOP")]),
    )
    harness = build_over(transport)
    job_id = run(harness)
    assert (harness.text(job_id), tokens_sent(transport)) == ("Whole.", [None, None])


def test_another_worker_continues_at_the_token(build_over: BuildOver) -> None:
    """The place is in the job's record with every append, and the usage until then with it."""
    transport = PlayedTransport(PlayedAnswer([event("two, three."), event("", "STOP", output=6)]))
    harness = build_over(transport)
    job_id, store = harness.submit("gemini/m"), harness.backend.store
    claim = store.claim(job_id, "first-attempt", "worker-0", now_ms())
    assert claim is not None
    writer = LogWriter(job_id, "first-attempt", claim)
    writer.start(claim.generation, "gemini", "gemini/m")
    parser = GEMINI.parser()
    for chunk in [*parser.feed(event("One, ", token="dG9r", output=4)), *parser.feed(event("two, "))]:
        if isinstance(chunk, str):
            writer.write(chunk)
        elif isinstance(chunk, Position):
            writer.upstream = chunk.text
    while append := writer.next_append(now_ms()):
        writer.settle(append, store.append(append))
    assert store.requeue(job_id, "first-attempt", 1, now_ms())
    assert harness.run(job_id) == "completed"
    assert (harness.text(job_id), tokens_sent(transport)) == ("One, two, three.", ["dG9r"])
    assert (harness.job(job_id).end or {})["usage"]["output_tokens"] == 10
