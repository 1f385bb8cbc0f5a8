"""A server that says `stop` where the limit of tokens ended its answer is put right by the usage."""

import pytest

from tests.contract.runner_harness import BuildRunner, calls
from tokentail.jobs.job import FinishReason, Usage
from tokentail.jobs.request import parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.element import CustomToolCall, Reasoning, ToolCall
from tokentail.redis.backend import now_ms
from worker.chunk import Chunk, Finish, Terminal, UsageReport

STOP = Finish(FinishReason.STOP, "stop")
CALL = ToolCall(0, "a", "f", "{}")
STATE = Reasoning("", {"dialect": "gemini"})


@pytest.mark.parametrize(
    ("answer", "asked", "reason"),
    [
        (["text", STOP, UsageReport(Usage(1, 8))], 8, "length"),
        (["text", UsageReport(Usage(1, 16)), STOP], 8, "length"),  # some gateways raise small limits
        (["text", STOP, UsageReport(Usage(1, 7))], 8, "stop"),
        (["text", STOP, UsageReport(Usage(1, None))], 8, "stop"),
        (["text", STOP, UsageReport(Usage(1, 8))], None, "stop"),
        (["text", CALL, STOP, UsageReport(Usage(1, 8))], 8, "stop"),
        ([CALL, STATE, STOP, UsageReport(Usage(1, 8))], 8, "stop"),
        ([CustomToolCall(0, "a", "f", "x"), STOP, UsageReport(Usage(1, 8))], 8, "stop"),
        ([CALL, "text", STOP, UsageReport(Usage(1, 8))], 8, "length"),
        (["text", Finish(FinishReason.CONTENT_FILTER, "x"), UsageReport(Usage(1, 8))], 8, "content_filter"),
        (["text", Finish(None, "odd"), UsageReport(Usage(1, 8))], 8, None),
    ],
)
def test_the_reason_is_length_where_the_usage_reaches_the_limit(
    build: BuildRunner, answer: list[Chunk | Exception], asked: int | None, reason: str | None
) -> None:
    """In the place of `stop` alone, for the limit that was asked for, and not where a tool call ended the answer."""
    harness = build(calls([*answer, Terminal()]))
    limit = "" if asked is None else f', "max_tokens": {asked}'
    submitter = Submitter(harness.backend.store, harness.backend.queue, harness.backend.admission, now_ms)
    job_id = submitter.submit("", parse_request(b'{"prompt": "p"%s}' % limit.encode()), "scripted", None).job_id
    assert harness.run(job_id) == "completed"
    assert harness.end(job_id)["finish_reason"] == reason
