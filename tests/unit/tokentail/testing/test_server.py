"""The server for tests of programs that use Tokentail: its model does what the test scripted."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.waiting import eventually
from tokentail.client import Choice, Client, JobNotCompleted, Update
from tokentail.jobs.request import GenerationRequest
from tokentail.testing import Answer, TokentailServer, ToolCall, tokentail_server
from tokentail.testing.model import ScriptedModel

__all__ = ["tokentail_server"]


def updates(server: TokentailServer, prompt: str = "why") -> list[Update]:
    """All that a reader receives of a new job."""
    with Client(server.url) as client:
        return list(client.follow(client.submit(prompt).id, events=True))


def ask(server: TokentailServer, prompt: str, model: str | None = None) -> str:
    with Client(server.url) as client:
        return client.ask(prompt, model=model)


def test_answers_are_used_in_order_and_once(tokentail_server: TokentailServer) -> None:
    """Each job has the next answer, whatever its model; a job for which none is left fails and does not wait."""
    tokentail_server.answer("The first.")
    tokentail_server.answer(Answer(["The", " second", "."]))
    assert ask(tokentail_server, "a", "gpt-5") == "The first."
    assert ask(tokentail_server, "b", "local/any") == "The second."
    with pytest.raises(JobNotCompleted) as raised:
        ask(tokentail_server, "c")
    error = raised.value.update.error
    assert error is not None
    assert error["type"] == "rejected"


def test_an_answer_can_belong_to_a_prompt(tokentail_server: TokentailServer) -> None:
    """Each job whose last message contains the text has it, before the answers that are used in order."""
    tokentail_server.answer("Other.")
    tokentail_server.answer("It rains.", to="weather")
    assert [ask(tokentail_server, f"{n}: what weather?") for n in range(2)] == ["It rains."] * 2
    with Client(tokentail_server.url) as client:
        turns = [{"role": "user", "content": "the weather?"}, {"role": "user", "content": "thank you"}]
        assert list(client.follow(client.submit(messages=turns).id))[-1].status == "completed"
        assert client.text(next(client.jobs()).id) == "Other."


def test_the_requests_can_be_looked_at(tokentail_server: TokentailServer) -> None:
    """With every field that the client sent, in the order in which they reached the model."""
    tokentail_server.answer("Yes.")
    tokentail_server.answer("No.")
    with Client(tokentail_server.url) as client:
        client.ask("first", model="gpt-5", max_tokens=7)
    ask(tokentail_server, "second")
    first, second = tokentail_server.requests
    assert (first.prompt, first.model, first.max_tokens) == ("first", "gpt-5", 7)
    assert second.prompt == "second"


def test_reasoning_and_tool_calls_surround_the_text(tokentail_server: TokentailServer) -> None:
    """Reasoning and tool calls arrive as events, and the finish reason is that of an answer with tool calls."""
    call = ToolCall(0, "call-1", "weather", '{"in": "Oslo"}')
    tokentail_server.answer(Answer("Let me see.", reasoning="Hm.", tool_calls=[call]))
    received = updates(tokentail_server)
    events = [event for update in received for event in update.events]
    kinds = [event if isinstance(event, str) else event["type"] for event in events]
    assert kinds == ["start", "reasoning", "Let", " me", " see.", "tool_call", "end"]
    assert events[-2] == {
        "type": "tool_call",
        "index": 0,
        "id": "call-1",
        "name": "weather",
        "arguments": call.arguments,
    }
    assert received[-1].finish_reason == "tool_calls"
    assert received[-1].usage is not None
    assert received[-1].usage["output_tokens"] == 3


@pytest.mark.parametrize(("kind", "is_retryable"), [("overloaded", True), ("content_filtered", False)])
def test_an_answer_can_fail_after_some_text(tokentail_server: TokentailServer, kind: str, is_retryable: bool) -> None:
    """At once, with the kind that the test named."""
    tokentail_server.answer(Answer("half of it", fails_with=kind, fails_after=1))
    with pytest.raises(JobNotCompleted) as raised:
        ask(tokentail_server, "why")
    assert raised.value.text == "half"
    error = raised.value.update.error
    assert error is not None
    assert (error["type"], error.get("is_retryable", False)) == (kind, is_retryable)


@pytest.mark.parametrize("transport", ["sse", "long", "short"])
def test_a_reader_can_be_reset_in_mid_answer(tokentail_server: TokentailServer, transport: Choice) -> None:
    """The reader has a token, then receives a reset with the whole answer; the job has reached the model once."""
    answer = tokentail_server.answer(Answer("one two three", holds_after=1, restarts_after=1))
    received = []
    with Client(tokentail_server.url) as client:
        for update in client.follow(client.submit("count").id, transport=transport):
            received.append(update)
            if update.text == "one":
                answer.release()
    assert received[0].is_reset is False
    assert [update.is_reset for update in received].count(True) == 1
    text = ""
    for update in received:
        text = update.applied_to(text)
    assert text == "one two three"
    assert len(tokentail_server.requests) == 1


def test_a_held_answer_can_be_cancelled(tokentail_server: TokentailServer) -> None:
    """The readers keep the text before the hold and receive the end."""
    tokentail_server.answer(Answer("never whole", holds_after=1))
    with Client(tokentail_server.url) as client:
        job = client.submit("why")
        for update in client.follow(job.id):
            if update.text:
                client.cancel(job.id)
        assert update.status == "cancelled"
        assert client.text(job.id) == "never"


def test_pieces_are_due_at_their_pace() -> None:
    """Piece i at i / per_s seconds, also behind a hold."""
    model, answer = ScriptedModel(), Answer("one two three", per_s=2, holds_after=1)
    model.in_order.append(answer)
    answer.release()
    assert [due_s for due_s, _ in model.steps(GenerationRequest(prompt="why"), "any")] == [0.0, 0.5, 1.0, 1.0]


def test_settings_are_those_of_the_environment() -> None:
    """With an API key set, a client without it is refused."""
    with TokentailServer(TOKENTAIL_API_KEYS="a-key-of-the-test") as server:
        server.answer("Yes.")
        assert requests.post(f"{server.url}/v1/jobs", json={"prompt": "why"}, timeout=10).status_code == 401
        with Client(server.url, "a-key-of-the-test") as client:
            assert client.ask("why") == "Yes."


def test_a_large_request_is_answered(tokentail_server: TokentailServer) -> None:
    """A worker process decodes such a request in a second thread; this worker must not depend on that one."""
    tokentail_server.answer("Long.")
    assert ask(tokentail_server, "x" * 100_000) == "Long."


def test_two_servers_share_nothing() -> None:
    """Answers and requests stay with the server that they were given to."""
    with TokentailServer() as one, TokentailServer() as other:
        one.answer("From one.")
        other.answer("From the other.")
        assert (ask(other, "a"), ask(one, "b")) == ("From the other.", "From one.")
        assert [len(server.requests) for server in (one, other)] == [1, 1]


def test_closing_answers_the_poll_that_waits_and_ends_all_threads() -> None:
    """Even while an answer is held."""
    before = set(threading.enumerate())

    def is_asked() -> bool:
        """Whether the server has a request under way: it has a thread for each."""
        return any("process_request_thread" in thread.name for thread in set(threading.enumerate()) - before)

    with ThreadPoolExecutor(1) as pool:
        with TokentailServer() as server:
            server.answer(Answer("never whole", holds_after=1))
            job = requests.post(f"{server.url}/v1/jobs", json={"prompt": "why"}, timeout=10).json()
            first = requests.get(f"{server.url}/v1/jobs/{job['id']}/tokens?wait=20", timeout=30).json()
            assert first["tokens"] == ["never"]
            eventually(lambda: not is_asked(), what="the first poll's thread has ended")
            query = f"wait=20&cursor={first['cursor']}"
            poll = pool.submit(requests.get, f"{server.url}/v1/jobs/{job['id']}/tokens?{query}", timeout=30)
            eventually(is_asked, what="the poll has arrived")
        assert poll.result(10).json()["tokens"] == []
    eventually(lambda: set(threading.enumerate()) <= before, what="all threads have ended")


def test_a_process_that_gevent_has_patched_can_have_a_server() -> None:
    """The threads of such a process are greenlets of one event loop, which must outlive the server."""
    program = (
        "from gevent import monkey; monkey.patch_all()",
        "from tokentail.client import Client; from tokentail.testing import TokentailServer",
        "for text in ('one', 'two'):",
        "    with TokentailServer() as server:",
        "        server.answer(text); print(Client(server.url).ask('why'))",
    )
    argv = [sys.executable, "-c", "\n".join(program)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("one\ntwo\n", "")


@pytest.mark.parametrize(
    "wrong",
    [{"fails_with": "boredom"}, {"finish_reason": "tired"}, {"fails_after": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_answer_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    """When the test writes it, and not only when a job receives it."""
    with pytest.raises(ValueError, match=r"boredom|tired|fails_with"):
        Answer("text", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "one", " one  two\n", "\n", "café 🙂"])
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    """Spaces included."""
    assert "".join(Answer(text).tokens) == text
