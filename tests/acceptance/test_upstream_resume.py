"""Where the upstream keeps its answers, a killed worker costs its readers nothing: no reset, no token twice."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.running import Up, running_up
from tests.background_upstream import BackgroundUpstream, background_upstream, words
from tests.waiting import eventually

_PROVIDERS = """
[providers.kept]
dialect = "openai_responses"
base_url = "{url}"
models = ["m"]
background = true
"""


@contextmanager
def running_with(upstream: BackgroundUpstream, folder: Path) -> Iterator[Up]:
    """`tokentail up` whose model `kept/m` is this upstream's."""
    providers = folder / "providers.toml"
    providers.write_text(_PROVIDERS.format(url=upstream.url))
    with running_up(folder, TOKENTAIL_PROVIDERS=str(providers), TOKENTAIL_LEASE_S="2") as up:
        yield up


def test_an_answer_goes_on_with_the_next_worker(tmp_path: Path) -> None:
    """A resumed answer is the same generation, whole, and paid for once."""
    with background_upstream(tokens=120, tokens_per_s=20) as upstream, running_with(upstream, tmp_path) as up:
        job_id = up.submit(prompt="hello", model="kept/m")
        text, cursor, resets, kills, done = "", "0", 0, 0, False
        while not done:
            body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor, wait=20)
            resets += body["reset"]
            text += "".join(body["tokens"])
            cursor, done = body["cursor"], body["done"]
            if text and not kills:
                os.kill(up.children()["worker"], signal.SIGKILL)
                kills += 1
        assert body["status"] == "completed", body
        assert text == words(120)
        assert (resets, kills, upstream.created, len(upstream.resumed)) == (0, 1, 1, 1)
        assert up.get(f"/v1/jobs/{job_id}")["attempts"] == 2


def test_a_cancel_reaches_the_upstream(tmp_path: Path) -> None:
    """Closing the connection would not stop it."""
    with background_upstream(tokens=1000, tokens_per_s=20) as upstream, running_with(upstream, tmp_path) as up:
        job_id = up.submit(prompt="hello", model="kept/m")
        up.get(f"/v1/jobs/{job_id}/tokens", cursor="0", wait=20)
        assert up.run("cancel", job_id).returncode == 0
        eventually(lambda: upstream.cancelled == ["resp_0000"], within_s=10, what="the upstream is told")
        assert upstream.answers["resp_0000"].is_cancelled
