"""chat: the site and the program keep the conversation; each turn is a job with all turns before it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.examples.conftest import EXAMPLES, KEY, newest_text
from tests.acceptance.examples.front import running_chat
from tests.acceptance.running import Up, start
from tests.waiting import eventually
from tokentail.client import ApiError, Client


@pytest.fixture(scope="module")
def site(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_chat(up.url, KEY, tmp_path_factory.mktemp("chat")) as address:
        yield address


def asked(site: str, chat: str, question: str, key: str) -> requests.Response:
    headers = {"Idempotency-Key": key}
    return requests.post(f"{site}/chats/{chat}/turns", json={"question": question}, headers=headers, timeout=10)


def history(site: str, chat: str) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = requests.get(f"{site}/chats/{chat}", timeout=10).json()["turns"]
    return turns


def test_each_turn_has_the_conversation_before_it(site: str, client: Client) -> None:
    """The second request has the first question and its answer, which the site has stored by then."""
    first = asked(site, "one", "Why is the sky blue?", "a").json()
    answer = newest_text(client)
    assert [turn["answer"] for turn in history(site, "one")] == [answer]
    second = asked(site, "one", "And at night?", "b").json()
    eventually(lambda: client.job(second["job"]).is_closed, within_s=20, what="the second turn has ended")
    # The demo counts the words of all messages.
    words = len(f"Why is the sky blue? {answer} And at night?".split())
    assert client.job(second["job"]).body["usage"]["input_tokens"] == words
    assert [turn["question"] for turn in history(site, "one")] == ["Why is the sky blue?", "And at night?"]
    client.delete(first["job"])
    assert history(site, "one")[0]["answer"] == answer, "the site has the answers for itself"


def test_a_repeated_question_is_one_turn(site: str, up: Up, client: Client) -> None:
    """A second one in the meantime is refused; the token reads the turn's job and no other."""
    other = client.submit("Of somebody else").id
    first = asked(site, "two", "Why?", "a").json()
    assert asked(site, "two", "Why?", "a").json()["job"] == first["job"]
    assert asked(site, "two", "What else?", "b").status_code == 409
    assert [turn["answer"] for turn in history(site, "two")] == [None]
    assert history(site, "other") == []
    with Client(up.url, token=first["token"]) as reader:
        assert reader.job(first["job"]).id == first["job"]
        with pytest.raises(ApiError):
            reader.job(other)


def test_of_questions_at_the_same_moment_one_is_asked(site: str) -> None:
    """In the middle of an answer, and before there is one: a conversation has one open turn."""
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda n: asked(site, "at once", "Why?", f"key {n}"), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    assert len(history(site, "at once")) == 1


def test_nonsense_is_refused(site: str) -> None:
    """No question, or none of text, or no key for repeats."""
    assert asked(site, "three", " ", "a").status_code == 422
    assert asked(site, "three", "Why?", "").status_code == 422
    body = requests.post(f"{site}/chats/three/turns", json=[1], headers={"Idempotency-Key": "a"}, timeout=10)
    assert body.status_code == 422


def test_the_terminal_resumes_the_answer_in_which_it_was_killed(up: Up, client: Client, tmp_path: Path) -> None:
    """The next start prints the whole answer, and the conversation has it once."""
    settings = {"TOKENTAIL_URL": up.url, "TOKENTAIL_API_KEY": KEY, "CHAT_FILE": str(tmp_path / "chat.json")}
    argv = [sys.executable, str(EXAMPLES / "chat" / "terminal.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with start(argv, settings, **pipes) as killed:
        assert killed.stdin
        assert killed.stdout
        killed.stdin.write("Why is the sky blue?\n")
        killed.stdin.flush()
        seen = ""
        while "Tokentail" not in seen:
            seen += os.read(killed.stdout.fileno(), 4096).decode()
        killed.send_signal(signal.SIGKILL)
    with start(argv, settings, **pipes) as again:
        printed, _ = again.communicate("", timeout=30)
    answer = newest_text(client)
    assert f"(resuming)\n{answer}\n" in printed
    messages = [{"role": "user", "content": "Why is the sky blue?"}, {"role": "assistant", "content": answer}]
    assert json.loads((tmp_path / "chat.json").read_text()) == {"messages": messages, "job": None}
