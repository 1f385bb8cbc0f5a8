"""Bounded names: whatever clients and providers call things, the worker's memory does not grow with the names."""

import json
import socket
from collections.abc import Callable

import pytest
from prometheus_client import generate_latest

from tests.held import held_by
from tests.unit.worker.recorded_streams import PlayedAnswer, failure_of
from tokentail.jobs.sweep import SweepTotals
from tokentail.sse import EventTooLarge, SseDecoder
from worker.chunk import Finish, ProviderFailure
from worker.dialects.openai.chat_parser import OpenAiChatParser
from worker.dialects.openai.responses_parser import OpenAiResponsesParser
from worker.dialects.openai.responses_position import ResponsesPosition
from worker.metrics import WorkerMetrics
from worker.running.suspects import Suspects
from worker.upstream.provider import HttpCall
from worker.upstream.transport import HttpTransport

NAMES = 10_000
_FEW = 500  # objects; caches of a fixed size may fill up meanwhile


@pytest.fixture
def closed_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize(
    "address",
    [
        lambda port, i: f"http://127.0.0.1:{port}/v1beta/models/model-{i}:streamGenerateContent?alt=sse",
        lambda port, i: f"http://127.1.{i // 250}.{i % 250 + 1}:{port}/v1/chat/completions",
        lambda port, i: f"http://user-{i}:password-{i}@127.0.0.1:{port}/v1/chat/completions",
    ],
    ids=["models in the path", "hosts", "credentials"],
)
def test_a_transport_does_not_grow_with_the_addresses_that_it_calls(
    closed_port: int, address: Callable[[int, int], str]
) -> None:
    """Gemini has the model in the path, and clients choose the model."""
    transport = HttpTransport(connections=4, connect_timeout_s=2, read_timeout_s=2)

    def call(i: int) -> None:
        with pytest.raises(ProviderFailure):
            transport.send(HttpCall(address(closed_port, i), {}, b"{}"))

    for i in range(200):
        call(i)
    before = held_by(transport)
    for i in range(200, NAMES):
        call(i)
    assert held_by(transport) < before + _FEW
    transport.close()


def test_the_scrape_does_not_grow_with_a_provider_s_words() -> None:
    """Error codes and messages are the provider's; what is counted is the kind of failure, of which there are few."""
    metrics = WorkerMetrics(slots=1, totals=SweepTotals())
    for i in range(NAMES):
        status = 400 + i % 200
        body = json.dumps({"error": {"message": f"word {i}", "code": f"code_{i}", "type": f"type_{i}"}}).encode()
        kind = failure_of(PlayedAnswer([body], status=status)).failure.kind
        metrics.call_failed("openai", kind)
        metrics.job_left("openai", f"failed: {kind}")
    assert len(generate_latest(metrics.registry).splitlines()) < 1000


def test_a_finish_reason_is_kept_to_a_length() -> None:
    """The finish reason is the provider's own word, and stays in the record for as long as the job does."""
    event = b'data: {"choices": [{"delta": {}, "finish_reason": "%b"}]}\n\n' % (b"x" * 1_000_000)
    (finish,) = (chunk for chunk in OpenAiChatParser().feed(event) if isinstance(chunk, Finish))
    assert len(finish.provider_reason or "") == 100


def test_suspects_that_were_left_leave_nothing_behind() -> None:
    """Each attempt has a name of its own."""
    suspects = Suspects(slots=8, max_losses=3)
    before = held_by(suspects)
    for i in range(NAMES):
        suspects.take(f"attempt-{i}", 1)
        suspects.leave(f"attempt-{i}")
    assert held_by(suspects) < before + _FEW


def test_an_event_of_empty_lines_that_never_ends_is_refused() -> None:
    """Lines of no length fill the memory, too."""
    decoder = SseDecoder(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        list(map(decoder.feed, [b"data:\n", b"data\n"] * 200))


def test_a_position_does_not_grow_with_the_calls_of_an_answer() -> None:
    """One is kept for each event: beyond some calls an answer cannot be taken up, rather than fill the memory."""
    parser = OpenAiResponsesParser(ResponsesPosition())
    list(parser.feed(b'data: {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}\n\n'))
    texts = []
    for i in range(1, 1000):
        item = {"type": "function_call", "call_id": f"call-{i}", "name": "f", "arguments": ""}
        event = {"type": "response.output_item.added", "sequence_number": i, "output_index": i, "item": item}
        chunks = parser.feed(b"data: %b\n\n" % json.dumps(event).encode())
        texts += [len(text) for chunk in chunks if isinstance(text := getattr(chunk, "text", ""), str)]
    assert max(texts) < 1000
