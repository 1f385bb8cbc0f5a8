"""The provider `openai_responses` in the background: positions, and what follows one."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.worker.recorded_streams import REQUEST, STREAMS, PlayedAnswer, PlayedTransport, recorded
from tokentail.jobs.job import FailureKind
from tokentail.jobs.request import GenerationRequest
from tokentail.log.element import Media, Skipped
from worker.chunk import (
    Accepted,
    Chunk,
    Finish,
    Position,
    PositionLost,
    ProviderFailure,
    Terminal,
    UsageReport,
    position_lost,
)
from worker.dialects.demo import Demo
from worker.dialects.openai.responses import DIALECT, OpenAiResponses
from worker.upstream.provider import HttpCall, KeepingProvider, Provider
from worker.upstream.source import cancel_upstream, open_chunks

BACKGROUND = OpenAiResponses("openai/*", "https://api.example/v1/", "sk-secret-key-of-ours", is_background=True)
NAMES = sorted(path.stem for path in (STREAMS / DIALECT).glob("*.sse"))


def taken(
    stream: bytes | PlayedAnswer, resume_from: str = "", provider: Provider = BACKGROUND
) -> tuple[list[Chunk], ProviderFailure | None]:
    """The chunks of an answer, and the failure that ends it, if one does."""
    answer = stream if isinstance(stream, PlayedAnswer) else PlayedAnswer([stream])
    chunks: list[Chunk] = []
    transport = PlayedTransport(answer, PlayedAnswer([], status=answer.status))  # the stored answer is gone as well
    try:
        with open_chunks(provider, REQUEST, "openai/m", transport, resume_from=resume_from) as lists:
            for some in lists:
                chunks.extend(some)
    except ProviderFailure as failure:
        return chunks, failure
    return chunks, None


def without_positions(chunks: Sequence[Chunk]) -> list[Chunk]:
    """What readers get; notes of what was skipped are made at the end, for what came since the last position."""
    return [chunk for chunk in chunks if not isinstance(chunk, Position | Skipped)]


def _resume(position: str) -> HttpCall:
    return BACKGROUND.resume(position, REQUEST, "openai/m")


def positions(chunks: Sequence[Chunk]) -> list[str]:
    return [chunk.text for chunk in chunks if isinstance(chunk, Position)]


def events_of(stream: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in stream.split(b"\n\n")]


def number_of(event: bytes) -> int:
    try:
        return int(json.loads(event.partition(b"data: ")[2])["sequence_number"])
    except (ValueError, KeyError):
        return -1


def after(stream: bytes, position: str) -> bytes:
    """What OpenAI sends when it is asked for what follows a position."""
    sequence = int(position.split(" ")[1])
    return b"".join(event for event in events_of(stream) if number_of(event) > sequence)


def is_content(chunk: Chunk) -> bool:
    return not isinstance(chunk, Position | Finish | UsageReport | Terminal)


# Streams whose events are all numbered and named as OpenAI does, and that have an end.
NUMBERED = [
    *("text", "reasoning_summary", "reasoning_text", "tool_calls_parallel", "refusal", "length", "lone_surrogate"),
    *("multi_byte_characters", "split_surrogate_pair", "comments_pings_and_unknown_events", "phases", "provider_tools"),
    *("done_without_deltas", "custom_tool_call", "image_generation", "audio"),
]


@pytest.mark.parametrize("name", NUMBERED)
def test_an_answer_taken_up_at_any_position_is_the_whole_answer(name: str) -> None:
    """No token is lost or doubled, and the reason to stop is the same, wherever the stream was lost."""
    stream = recorded(name, DIALECT)[0]
    whole, _ = taken(stream)
    places = [i for i, chunk in enumerate(whole) if isinstance(chunk, Position) and " " in chunk.text]
    assert places
    for i in places:
        text = str(positions(whole[i:])[0])
        rest, failure = taken(after(stream, text), text)
        assert failure is None
        assert without_positions(whole[:i]) + without_positions(rest) == without_positions(whole), text


@pytest.mark.parametrize("name", NUMBERED)
def test_a_server_that_begins_anew_changes_nothing(name: str) -> None:
    """One that does not know `starting_after` sends everything: what is known is passed over."""
    stream = recorded(name, DIALECT)[0]
    whole, _ = taken(stream)
    for text in positions(whole):
        if " " in text:
            assert taken(stream, text)[0] == taken(after(stream, text), text)[0]


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_is_shown_is_covered_by_a_position_that_follows_it(name: str) -> None:
    """Between the two nothing else is shown; so what is saved with a position is what came before it."""
    chunks, failure = taken(recorded(name, DIALECT)[0])
    if not positions(chunks):
        is_whole = name == "sparse_fields" or name.startswith("answer_not_streamed")  # nothing is left to be taken up
        assert not any(map(is_content, chunks)) or failure or is_whole
        return
    uncovered = 0
    for chunk, following in itertools.pairwise([*chunks, None]):
        if isinstance(chunk, Finish):
            break  # the answer is whole: nothing will be taken up
        uncovered = 0 if isinstance(chunk, Position) else uncovered + is_content(chunk)  # type: ignore[arg-type]
        assert following is not None or not uncovered


def test_the_first_position_comes_before_the_first_token() -> None:
    """A model may think for minutes: to lose its answer then costs the most."""
    chunks, _ = taken(recorded("text", DIALECT)[0])
    assert chunks[:3] == [Position("resp_1 0"), "Hel", Position("resp_1 4")]


def test_without_background_there_are_no_positions() -> None:
    """Nothing could be taken up."""
    chunks, _ = taken(recorded("text", DIALECT)[0], provider=OpenAiResponses("openai/*", "https://api.example/v1", ""))
    assert not positions(chunks)


def test_a_half_of_a_character_makes_a_place_unfit() -> None:
    """What the half belongs to would be lost; so the position names only the answer, until the other half is there."""
    chunks, _ = taken(recorded("split_surrogate_pair", DIALECT)[0])
    assert chunks[1:5] == ["a", Position("resp_1"), "🙂", Position("resp_1 5")]


def test_tool_calls_without_numbers_make_every_place_unfit() -> None:
    """What follows could not be told apart."""
    chunks, _ = taken(recorded("no_indexes", DIALECT)[0])
    assert positions(chunks) == ["resp_1 0", "resp_1"]


@pytest.mark.parametrize("name", ["failed", "error_event", "error_event_nested", "cancelled"])
def test_an_answer_that_has_failed_is_not_taken_up(name: str) -> None:
    """A failed response would only repeat its failure, so its position is given up."""
    chunks, failure = taken(recorded(name, DIALECT)[0])
    assert failure is not None
    assert positions(chunks)[-1] == ""


@pytest.mark.parametrize("name", ["error_of_a_proxy", "malformed", "cut"])
def test_a_stream_that_broke_is_taken_up(name: str) -> None:
    """The answer goes on without it."""
    chunks, failure = taken(recorded(name, DIALECT)[0])
    assert failure is not None
    assert failure.failure.is_retryable
    assert positions(chunks)[-1] == "resp_1 4"


def test_an_event_that_breaks_after_it_has_said_something_makes_the_place_unfit() -> None:
    """What it said would be said again."""
    stream = (
        b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}\n\n'
        b'data: {"type": "response.completed", "sequence_number": 1, "response": {"status": 5, "output": '
        b'[{"type": "message", "content": [{"type": "output_text", "text": "All."}]}]}}\n\n'
    )
    chunks, failure = taken(stream)
    assert chunks == [Position("resp_1 0"), "All.", Position("resp_1")]
    assert failure is not None


def test_resuming_asks_for_what_follows_with_get() -> None:
    """The call to resume has the key in a header, because the address does not hold it."""
    call = BACKGROUND.resume("resp_a=:1 42 1+ 2", REQUEST, "openai/m")
    assert (call.method, call.body) == ("GET", b"")
    assert call.url == "https://api.example/v1/responses/resp_a%3D%3A1?stream=true&starting_after=42"
    assert call.headers["Authorization"] == "Bearer sk-secret-key-of-ours"
    assert call.headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize("position", ["resp_1 42 1+", "resp_1"])
def test_any_position_of_an_answer_will_do_to_cancel_it(position: str) -> None:
    """A position's response id is enough to cancel the response."""
    call = BACKGROUND.cancel(position)
    assert (call.method, call.url, call.body) == ("POST", "https://api.example/v1/responses/resp_1/cancel", b"")
    assert isinstance(BACKGROUND, KeepingProvider)


@pytest.mark.parametrize(
    "response_id", ["../../admin", "..", ".", "a/b", "a%2fb", "a?b", "a#b", "a b", "a\nb", "é", "", "x" * 600, 7, None]
)
def test_an_id_that_would_change_the_address_is_no_id(response_id: Any) -> None:
    """Positions come from the wire and from the store; neither may choose what is called."""
    created = json.dumps({"type": "response.created", "sequence_number": 0, "response": {"id": response_id}})
    delta = json.dumps({"type": "response.output_text.delta", "sequence_number": 1, "delta": "x"})
    chunks, _ = taken(f"data: {created}\n\ndata: {delta}\n\n".encode())
    assert chunks == ["x"]
    for call in (BACKGROUND.stored, BACKGROUND.cancel, _resume) if isinstance(response_id, str) else ():
        with pytest.raises(PositionLost):
            call(f"{response_id} 4")


@given(st.text(max_size=30))
@example("resp_1")
@example("resp_1 -1")
@example("resp_1 1 x")
@example("resp_1  1")
@example("resp_1 \N{ARABIC-INDIC DIGIT ONE}")
@example("resp_1 1 2++")
@example("resp_1 1 rt")
@example("resp_1 t")
@example("resp_1 99999999999")
def test_a_position_that_was_never_given_is_lost(position: str) -> None:
    """Whatever stands in the store, it makes an address of ours or none."""
    try:
        url = _resume(position).url
    except PositionLost:
        return
    assert url.startswith("https://api.example/v1/responses/")
    assert url.rpartition("?")[0].count("/") == 5


@pytest.mark.parametrize("status", [400, 404, 405, 410, 422])
def test_an_answer_that_the_provider_has_no_more_is_lost(status: int) -> None:
    """OpenAI says 404, and 400 once the answer is too old to be streamed. Only a new answer will help."""
    body = b'{"error": {"message": "This response can no longer be streamed because it is more than 5 minutes old"}}'
    answer = PlayedAnswer([body], status=status)
    chunks, failure = taken(answer, "resp_1 4")
    assert not chunks
    assert isinstance(failure, PositionLost)
    assert (failure.failure.is_retryable, failure.failure.provider_status) == (True, status)
    assert answer.closes


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [(429, "rate_limited", True), (500, "unavailable", True), (401, "rejected", False)],
)
def test_a_resume_that_fails_otherwise_keeps_its_position(status: int, kind: str, is_retryable: bool) -> None:
    """The answer is still there."""
    _, failure = taken(PlayedAnswer([b"{}"], status=status, headers={"retry-after": "3"}), "resp_1 4")
    assert failure is not None
    assert not isinstance(failure, PositionLost)
    assert (failure.failure.kind, failure.failure.is_retryable, failure.retry_after_s) == (kind, is_retryable, 3)


def test_a_lost_position_is_told_as_such_whatever_the_prompt_says() -> None:
    """A lost position is reported as PositionLost, even where the prompt has the words of its message."""
    request = GenerationRequest(prompt=position_lost().failure.message)
    transport = PlayedTransport(PlayedAnswer([b""], status=404), PlayedAnswer([b""], status=404))
    with (
        pytest.raises(PositionLost),
        open_chunks(BACKGROUND, request, "openai/m", transport, resume_from="resp_1 4") as lists,
    ):
        list(lists)


def test_the_provider_s_name_for_a_resumed_call_is_kept() -> None:
    """As for any call."""
    stream = after(recorded("text", DIALECT)[0], "resp_1 4")
    chunks, _ = taken(PlayedAnswer([stream], headers={"x-request-id": "req_7"}), "resp_1 4")
    assert chunks[0] == Accepted("req_7")
    _, failure = taken(PlayedAnswer([b""], status=500, headers={"x-request-id": "req_8"}), "resp_1 4")
    assert failure is not None
    assert failure.request_id == "req_8"


def test_another_provider_s_position_is_lost() -> None:
    """The name was given to another provider since."""
    _, failure = taken(b"", "resp_1 4", provider=Demo())
    assert isinstance(failure, PositionLost)


def test_cancelling_tells_the_provider_and_hears_whether_it_knows() -> None:
    """That nothing is left to cancel is no failure."""
    for status in (200, 400, 404, 409):
        answer = PlayedAnswer([b"{}"], status=status)
        transport = PlayedTransport(answer)
        cancel_upstream(BACKGROUND, "resp_1 4", transport)
        assert [call.url for call in transport.calls] == ["https://api.example/v1/responses/resp_1/cancel"]
        assert answer.closes
    with pytest.raises(ProviderFailure) as raised:
        cancel_upstream(BACKGROUND, "resp_1 4", PlayedTransport(PlayedAnswer([b""], status=503)))
    assert raised.value.failure.kind == FailureKind.OVERLOADED
    cancel_upstream(Demo(), "resp_1 4", PlayedTransport())


def test_media_are_numbered_on_behind_a_position() -> None:
    """A sound goes on under its number, and an image after it has the next."""
    sound = {"type": "response.audio.delta", "delta": "AAAA"}
    image = {"type": "image_generation_call", "id": "ig", "result": "iVBORw0KGgo="}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.done", "output_index": 0, "item": image},
        *(sound, sound),
        {"type": "response.output_item.done", "output_index": 1, "item": {**image, "id": "ig2"}},
        {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}},
    ]
    events = [b"data: " + json.dumps({**each, "sequence_number": number}).encode() for number, each in enumerate(told)]
    stream = b"\n\n".join(events) + b"\n\n"
    for cut in range(2, len(events) - 1):
        begun, _ = taken(b"\n\n".join(events[:cut]) + b"\n\n")
        position = positions(begun)[-1]
        rest, failure = taken(after(stream, position), position)
        assert failure is None
        media = [chunk.index for chunk in [*begun, *rest] if isinstance(chunk, Media)]
        assert media == [0, 1, 1, 2]
