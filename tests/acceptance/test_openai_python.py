"""OpenAI's own Python SDK, unmodified, against a running `tokentail up`."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.cutting_relay import CuttingRelay
from tests.waiting import eventually

HI: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hi"}]
QUICK = "demo?tokens=20&tps=0"
SLOW = "demo?tokens=10000&tps=20"


def client_of(url: str, **options: Any) -> OpenAI:
    return OpenAI(base_url=f"{url}/openai/v1", api_key="any", **options)


@pytest.fixture
def client(shared_up: Up) -> Iterator[OpenAI]:
    with client_of(shared_up.url) as client:
        yield client


def text_of(up: Up, completion_id: str) -> str:
    """The job's text by our own interface."""
    job_id = completion_id.partition("-")[2]
    return "".join(up.get(f"/v1/jobs/{job_id}/tokens")["tokens"])


def test_a_chat_whole_and_streamed(shared_up: Up, client: OpenAI) -> None:
    """An answer is whole in one piece, in chunks and in the SDK's own accumulator; usage where it was asked for."""
    whole = client.chat.completions.create(model=QUICK, messages=HI)
    text = whole.choices[0].message.content
    assert text == text_of(shared_up, whole.id)
    assert whole.id.endswith(str(whole._request_id))
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 20
    usage = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=QUICK, messages=HI, stream=True, stream_options=usage))  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage.completion_tokens == 20
    with client.chat.completions.stream(model=QUICK, messages=HI) as stream:
        assert stream.get_final_completion().choices[0].message.content == text
    assert client.chat.completions.retrieve(whole.id).choices[0].message.content == text


def test_errors_are_of_the_sdks_own_classes(client: OpenAI) -> None:
    """Programs catch classes; each has the status, the code and the client's own field."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nothing-like-it", messages=HI)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=QUICK, messages=HI, n=2)
    assert refused.value.param == "n"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="x", input="y")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve("chatcmpl-nothing")


def test_models_can_be_asked_for_as_they_are_listed(client: OpenAI) -> None:
    """No pattern is listed, and a name with a slash or a question mark can be looked up."""
    names = [model.id for model in client.models.list()]
    assert "demo" in names
    assert not any("*" in name for name in names)
    for name in (*names, "demo?tokens=40&tps=5"):
        assert client.models.retrieve(name).id == name


def test_a_response_whole_and_streamed(client: OpenAI) -> None:
    """A response is whole in one piece and in the SDK's own accumulator; the next turn names the one before."""
    whole = client.responses.create(model=QUICK, input="Hi")
    assert whole.status == "completed"
    with client.responses.stream(model=QUICK, input="Hi") as stream:
        assert stream.get_final_response().output_text == whole.output_text
    following = client.responses.create(
        model=QUICK, input=[{"role": "user", "content": "And?"}], previous_response_id=whole.id
    )
    assert following.previous_response_id == whole.id
    assert following.usage is not None
    assert whole.usage is not None
    assert following.usage.input_tokens > whole.usage.input_tokens, "the first turn was sent, too"
    (item,) = client.responses.input_items.list(following.id).data
    assert item.content[0].text == "And?"  # type: ignore[index, union-attr]


def test_a_background_response_is_resumed_cancelled_and_deleted(client: OpenAI) -> None:
    """Streams of it begin behind any number; a cancel keeps its text; a deletion erases it."""
    model = "demo?tokens=60&tps=60"
    made = client.responses.create(model=model, input="Hi", background=True)
    events = list(client.responses.retrieve(made.id, stream=True))
    middle = events[len(events) // 2].sequence_number
    rest = list(client.responses.retrieve(made.id, stream=True, starting_after=middle))
    assert [event.sequence_number for event in rest] == [
        event.sequence_number for event in events if event.sequence_number > middle
    ]
    assert client.responses.retrieve(made.id).status == "completed"
    slow = client.responses.create(model=SLOW, input="Hi", background=True, stream=True)
    for event in slow:
        if event.type == "response.output_text.delta":
            break
    slow_id = f"resp_{slow.response.headers['x-request-id']}"
    slow.close()
    cancelled = client.responses.cancel(slow_id)
    assert cancelled.status == "cancelled"
    assert cancelled.output_text
    client.responses.delete(slow_id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(slow_id)


def test_a_gateway_that_cuts_an_answer_twice_costs_one_generation(shared_up: Up) -> None:
    """An answer of two and a half times the gateway's limit reaches the SDK by its own two repeats, from one job."""
    before = {job["id"] for job in shared_up.get("/v1/jobs")["jobs"]}
    with (
        CuttingRelay(int(shared_up.url.rpartition(":")[2]), cuts_after_s=4, bad_every=1000) as gateway,
        client_of(f"http://127.0.0.1:{gateway.port}") as client,
    ):
        answer = client.chat.completions.create(model="demo?tokens=20&tps=2", messages=HI)
    made = [job for job in shared_up.get("/v1/jobs")["jobs"] if job["id"] not in before]
    assert [job["id"] for job in made] == [answer.id.partition("-")[2]]
    assert made[0]["attempts"] == 1
    assert answer.choices[0].message.content == text_of(shared_up, answer.id)


def test_a_killed_worker_shows_nowhere_when_the_answer_repeats(tmp_path: Path) -> None:
    """The new generation says the same, so the chat goes on without a sign; a live response ends with
    `generation_restarted`, and then has the whole answer."""
    with running_up(tmp_path, TOKENTAIL_LEASE_S="2") as up, client_of(up.url, max_retries=0) as client:
        model = "demo?tokens=100&tps=20"
        chat = client.chat.completions.create(model=model, messages=HI, stream=True)
        response = client.responses.create(model=model, input="Hi", background=True, stream=True)
        pieces = [next(chat).choices[0].delta.content or "" for _ in range(10)]
        for event in response:
            if event.type == "response.output_text.delta":
                break
        os.kill(up.children()["worker"], signal.SIGKILL)
        chunks = list(chat)
        pieces += [chunk.choices[0].delta.content or "" for chunk in chunks]
        assert "".join(pieces) == text_of(up, chunks[0].id)
        assert chunks[-1].choices[0].finish_reason == "stop"
        with pytest.raises(openai.APIError) as restarted:
            list(response)
        assert restarted.value.code == "generation_restarted"
        response_id = f"resp_{response.response.headers['x-request-id']}"
        last = list(client.responses.retrieve(response_id, stream=True))[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == "".join(pieces)


@pytest.mark.parametrize(
    ("headers", "status"), [({}, "cancelled"), ({"Tokentail-On-Disconnect": "continue"}, "running")]
)
def test_leaving_stops_the_job_unless_it_is_told_otherwise(
    shared_up: Up, client: OpenAI, headers: dict[str, str], status: str
) -> None:
    """Nobody pays for text that no one reads; `continue` is for those who come back."""
    stream = client.chat.completions.create(model=SLOW, messages=HI, stream=True, extra_headers=headers)
    job_id = next(stream).id.partition("-")[2]
    stream.close()
    if status == "cancelled":
        assert wait_for_end(shared_up, job_id, within_s=40) == status
    else:
        other = client.chat.completions.create(model=SLOW, messages=HI, stream=True)
        other_id = next(other).id.partition("-")[2]
        other.close()
        eventually(lambda: shared_up.status(other_id) == "cancelled", within_s=40, what="the other was cancelled")
        assert shared_up.status(job_id) == status
        shared_up.run("cancel", job_id)
