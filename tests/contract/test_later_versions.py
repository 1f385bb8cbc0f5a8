"""What a later version may write, as a process of this one meets it during an update: read anew or passed on."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests.contract.durable_reads import read
from tests.contract.openai_clients import Clients, clients
from tests.http_harness import HttpHarness, json_of
from tests.scripted_worker import COMPLETED
from tests.waiting import eventually
from tokentail.redis.keys import job_keys, live_channel

__all__ = ["clients"]  # a fixture


class Novel(msgspec.Struct, tag="novel"):
    """An event that only a later version knows. Its fields have other types than ours of the same names."""

    text: list[str]
    index: str


NOVEL = Novel(["x"], "first")


def append_as_newer(harness: HttpHarness, job_id: str, news: bytes, *elements: bytes) -> None:
    """Append to a job's log, and publish this in the place of our own news."""
    pipe = harness.backend.buffer_client.pipeline()
    pipe.rpush(job_keys(job_id)[1], *elements)
    pipe.publish(live_channel(job_id), news)
    pipe.execute()


@pytest.mark.parametrize("news", [b"2 2\n\xff\x00", b'{"format": 2}\n'], ids=["numbered", "in_another_form"])
def test_news_of_a_later_format_makes_waiting_readers_read_the_log(harness: HttpHarness, news: bytes) -> None:
    """A long poll that waits has what was written, and goes on."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), "Hel")
    cursor = harness.poll(job_id)["cursor"]
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(harness.poll, job_id, f"cursor={cursor}&wait=20")
        eventually(lambda: harness.waits() == 1 and harness.is_followed(job_id), what="the poll waits")
        append_as_newer(harness, job_id, news, b'"lo"')
        assert waiting.result(15)["tokens"] == ["lo"]
    assert harness.poll(job_id)["tokens"] == ["Hel", "lo"]


def test_elements_of_an_unknown_type_are_passed_on_by_every_read_of_a_job(harness: HttpHarness) -> None:
    """The typed reads give them as they are; readers of text never see them."""
    job_id = harness.submitted()
    harness.worker.say(harness.worker.take(job_id), "Hel", NOVEL, "lo", COMPLETED)  # type: ignore[arg-type]
    events = harness.poll(job_id, kind="events")["events"]
    assert [each if isinstance(each, str) else each["type"] for each in events][-4:] == ["Hel", "novel", "lo", "end"]
    assert harness.get(f"/v1/jobs/{job_id}/text").text == "Hello"
    assert '"novel"' in harness.get(f"/v1/jobs/{job_id}/stream?events=1").text
    assert read(harness, job_id, "text").text == "Hello"
    assert {"type": "novel", "text": ["x"], "index": "first"} in read(harness, job_id, "events").get_json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/openai/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}),
        ("/openai/v1/responses", {"input": "Hi"}),
        ("/openai/v1/responses", {"input": "Hi", "stream": True}),
        (
            "/ai-sdk/chat",
            {"id": "c", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
        ),
    ],
    ids=["chat", "chat_stream", "responses", "responses_stream", "ai_sdk"],
)
def test_elements_of_an_unknown_type_break_no_other_interface(clients: Clients, path: str, body: Any) -> None:
    """The answer is whole, and completes."""
    asked = clients.post(path, body if path.startswith("/ai-sdk") else {**body, "model": "demo"})
    job_id, harness = clients.new_job(), clients.harness
    harness.worker.say(harness.worker.take(job_id), "Hel", NOVEL, "lo", COMPLETED)  # type: ignore[arg-type]
    answer = asked.result()
    assert answer.status_code == 200
    assert "Hello" in answer.text or ('"Hel"' in answer.text and '"lo"' in answer.text)
    assert '"error":{' not in answer.text
    assert "errorText" not in answer.text
    assert json_of(harness.get(f"/v1/jobs/{job_id}"))["status"] == "completed"
