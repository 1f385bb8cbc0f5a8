"""Answers that go on at the upstream, when streams are cut and when the upstream forgets; a killed worker between."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.acceptance.running import Up, running_up
from tests.background_upstream import BackgroundUpstream, background_upstream, words
from tests.waiting import eventually

_TOKENS = 90
_NAMES = ("kept", "forgetful", "cut")


@dataclass(frozen=True)
class Deployment:
    """A running `up`, and the upstreams behind its models `kept/m`, `forgetful/m` and `cut/m`."""

    up: Up
    upstreams: dict[str, BackgroundUpstream]


class Reader:
    """A reader that follows one job by its cursor."""

    def __init__(self, up: Up, model: str) -> None:
        self._up = up
        self.job_id = up.submit(prompt="hello", model=model)
        self.text, self.resets, self.is_done = "", 0, False
        self._cursor = "0"

    def poll(self) -> None:
        body = self._up.get(f"/v1/jobs/{self.job_id}/tokens", cursor=self._cursor, wait=20)
        if body["reset"]:
            self.resets += 1
            self.text = ""
        self.text += "".join(body["tokens"])
        self._cursor, self.is_done = body["cursor"], body["done"]

    def read_on(self) -> None:
        """To the end."""
        while not self.is_done:
            self.poll()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("background")
    with ExitStack() as stack:
        upstreams = {name: stack.enter_context(background_upstream(_TOKENS, tokens_per_s=30)) for name in _NAMES}
        providers = folder / "providers.toml"
        providers.write_text(
            "".join(
                f'[providers.{name}]\ndialect = "openai_responses"\nbase_url = "{upstream.url}"\nbackground = true\n'
                for name, upstream in upstreams.items()
            )
        )
        up = stack.enter_context(running_up(folder, TOKENTAIL_PROVIDERS=str(providers), TOKENTAIL_LEASE_S="2"))
        yield Deployment(up, upstreams)


def test_a_cut_stream_is_gone_on_with(deployment: Deployment) -> None:
    """By the same worker: readers notice nothing, and nothing is paid twice."""
    upstream = deployment.upstreams["cut"]
    reader = Reader(deployment.up, "cut/m")
    while reader.text.count(",") < 10:
        reader.poll()
    upstream.drop_streams()
    reader.read_on()
    assert (reader.text, reader.resets) == (words(_TOKENS), 0)
    assert upstream.created == len(upstream.resumed) == 1
    job = deployment.up.get(f"/v1/jobs/{reader.job_id}")
    assert (job["status"], job["attempts"], job["token_count"]) == ("completed", 1, _TOKENS)
    assert job["usage"]["output_tokens"] == _TOKENS


def test_the_next_worker_goes_on_where_it_can(deployment: Deployment) -> None:
    """One `kill -9`, two jobs: the kept answer goes on without a reset; the forgotten one begins anew, with one."""
    kept, forgetful = (deployment.upstreams[name] for name in ("kept", "forgetful"))
    readers = [Reader(deployment.up, "kept/m"), Reader(deployment.up, "forgetful/m")]
    for reader in readers:
        while not reader.text:
            reader.poll()
    os.kill(deployment.up.children()["worker"], signal.SIGKILL)
    forgetful.forget()
    for reader in readers:
        reader.read_on()
    assert [reader.text for reader in readers] == [words(_TOKENS)] * 2
    assert [reader.resets for reader in readers] == [0, 1]
    assert [upstream.created for upstream in (kept, forgetful)] == [1, 2]
    assert [len(upstream.resumed) for upstream in (kept, forgetful)] == [1, 1]
    for reader in readers:
        job = deployment.up.get(f"/v1/jobs/{reader.job_id}")
        assert (job["status"], job["attempts"], job["token_count"]) == ("completed", 2, _TOKENS)


def test_a_cancel_stops_the_upstream_in_mid_answer(deployment: Deployment) -> None:
    """The upstream receives the cancel, and the text that readers have stays as it was."""
    upstream = deployment.upstreams["cut"]
    reader = Reader(deployment.up, "cut/m")
    while not reader.text:
        reader.poll()
    answer = list(upstream.answers.values())[-1]
    assert deployment.up.run("cancel", reader.job_id).returncode == 0
    eventually(lambda: upstream.cancelled == [answer.id], within_s=10, what="the upstream is told")
    assert answer.is_cancelled
    reader.read_on()
    assert words(_TOKENS).startswith(reader.text)
    assert deployment.up.status(reader.job_id) == "cancelled"
