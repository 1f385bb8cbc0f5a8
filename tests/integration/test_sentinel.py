"""Fail-overs with real servers and Sentinels, as a web process, a worker and a reader see them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.acceptance.chaos.program import Program
from tests.integration.web_process import WebProcess
from tests.job_follower import JobFollower
from tests.sentinel_fleet import Process, SentinelFleet
from tests.waiting import eventually
from tokentail.errors import StoreUnavailable
from tokentail.redis.client import RedisClient, connect
from tokentail.redis.errors import NoPrimary
from tokentail.redis.preflight import Verdict, judge

_TOKENS = 120
_LEASE_S = "30"  # no worker is lost here, however busy the machine is


def is_in_stale_primary(server: Process, job_id: str) -> bool | None:
    """Whether a server that takes itself for the primary has the job; None where it does not, or does not answer."""
    look = server.client.pipeline(transaction=True)
    look.execute_command("ROLE")
    look.exists(f"tt:{{{job_id}}}:job")
    try:
        role, has_it = look.execute()
    except redis.exceptions.RedisError:
        return None
    return bool(has_it) if role[0] == "master" else None


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_a_job_outlasts_a_fail_over_and_an_old_primary_that_is_back_gets_nothing(fault: str, tmp_path: Path) -> None:
    """The answer is continued by the same attempt. The old primary takes itself for one until Sentinels demote it.

    With one that hangs goes a Sentinel, the first in the list; when both are back, it still names the old primary.
    """
    settings = {"TOKENTAIL_LEASE_S": _LEASE_S, "TOKENTAIL_MODEL": "demo"}
    with SentinelFleet() as fleet, WebProcess(fleet.url, **settings) as web:
        worker = Program("worker", "worker", tmp_path, {"REDIS_URL": fleet.url, **settings})
        worker.start()
        try:
            eventually(
                lambda: web.ask("GET", "/readyz").json.get("workers") == 1, within_s=30, what="there is a worker"
            )
            follower = JobFollower(web, _TOKENS)
            follower.read_until(20)
            old = fleet.primary
            hung = (old, fleet.sentinels[0]) if fault == "hung" else ()  # what one machine may have
            if fault == "killed":
                old.kill()
            for each in hung:
                each.signal(signal.SIGSTOP)
            assert fleet.await_switch(old) is not old
            if fault == "killed":
                old.start()
            for each in hung:
                each.signal(signal.SIGCONT)
            stale = []

            def is_demoted() -> bool:
                later = JobFollower(web, 1)
                stale.append(is_in_stale_primary(old, later.job_id))
                follower.read()
                return old.role == "slave"

            eventually(is_demoted, within_s=60, what="the Sentinels have demoted the old primary")
            assert False in stale, "it never took itself for the primary, so nothing was tried"
            assert True not in stale
            follower.assert_whole(_TOKENS)
            assert web.ask("GET", f"/v1/jobs/{follower.job_id}").json["attempts"] == 1
            assert "primary.moved" in web.log
        finally:
            worker.kill()


def sentinels_that_are_silent(client: RedisClient) -> list[str]:
    return [note for note in judge(client).notes if note.startswith("the Sentinel at 127.0.0.1:")]


def is_answered(client: RedisClient) -> bool:
    """Whether the primary answers; False where no Sentinel does in time."""
    with suppress(NoPrimary):
        return bool(client.ping())
    return False


def test_few_sentinels_suffice_and_without_any_open_connections_go_on() -> None:
    """Two of three hang: the third names the primary. When that one is dead, too, no new connection is made."""
    with SentinelFleet(replicas=0) as fleet, connect(fleet.url, timeout_s=2) as first:
        for sentinel in fleet.sentinels[:2]:
            sentinel.signal(signal.SIGSTOP)
        try:
            eventually(lambda: is_answered(first), within_s=20, what="the third names the primary")
            fleet.sentinels[2].kill()
            eventually(lambda: len(sentinels_that_are_silent(first)) == 3, within_s=20, what="each silence is noted")
            with connect(fleet.url, timeout_s=2) as second:

                def is_refused() -> bool:
                    second.connection_pool.disconnect()
                    try:
                        return not second.ping()
                    except NoPrimary as error:
                        return str(error) == "no Sentinel answers"

                eventually(is_refused, within_s=20, what="no new connection is made")
            assert first.ping()
        finally:
            for sentinel in fleet.sentinels[:2]:
                sentinel.signal(signal.SIGCONT)


# -- what is said of an address that cannot work -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[SentinelFleet]:
    """One server and one Sentinel, with a password each."""
    with SentinelFleet(replicas=0, sentinels=1, password="one", sentinel_password="two") as fleet:
        yield fleet


def judged(url: str) -> Verdict:
    """What is said of the URL, as soon as a Sentinel answers in time."""
    verdicts: list[Verdict] = []
    with connect(url, timeout_s=2) as client:

        def is_judged() -> bool:
            with suppress(StoreUnavailable):
                verdicts.append(judge(client))
            return bool(verdicts)

        eventually(is_judged, within_s=20, what="a Sentinel answers")
    return verdicts[0]


def test_a_primary_by_sentinels_that_suits_has_no_fault(guarded: SentinelFleet) -> None:
    """Each kind of server gets its own password."""
    verdict = judged(guarded.url)
    assert (verdict.faults, verdict.warnings) == ((), ())


def test_a_sentinel_that_hangs_beside_others_is_noted_at_once(guarded: SentinelFleet) -> None:
    """Two of three answer, which suffices for the primary; the third is named by the first look at the servers."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        port, silent = guarded.sentinels[0].port, f"127.0.0.1:{hung.getsockname()[1]}"
        url = guarded.url.replace(f":{port}/", f":{port},localhost:{port},{silent}/")
        with connect(url, timeout_s=2) as client:
            assert sentinels_that_are_silent(client) == [f"the Sentinel at {silent} does not answer"]


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("/tokentail/0", "/other/0", "the Sentinels know no primary of this name"),
        ("sentinel_password=two", "sentinel_password=hidden", "the Sentinels refuse the user or the password"),
        ("?sentinel_password=two", "", "the Sentinels refuse the user or the password"),
        (":one@", ":hidden@", "refuses the user or the password of REDIS_URL"),
        (":one@", "", "refuses the user or the password of REDIS_URL"),
    ],
)
def test_what_must_be_corrected_is_a_fault(guarded: SentinelFleet, right: str, wrong: str, words: str) -> None:
    """The sentence has the primary's name and where its Sentinels are, and no password."""
    url = guarded.url.replace(right, wrong)
    assert url != guarded.url
    (fault,) = judged(url).faults
    assert words in fault
    assert f"(Sentinels 127.0.0.1:{guarded.sentinels[0].port})" in fault
    assert "hidden" not in fault


def test_the_kinds_of_server_are_told_apart(guarded: SentinelFleet) -> None:
    """A server that is named as a Sentinel, and a Sentinel that is named as a server."""
    server, sentinel = guarded.servers[0].port, guarded.sentinels[0].port
    (fault,) = judged(f"redis+sentinel://127.0.0.1:{server}/tokentail?sentinel_password=one").faults
    assert "what answers is no Sentinel" in fault
    (fault,) = judged(f"redis://:two@127.0.0.1:{sentinel}").faults
    assert "is a Sentinel" in fault
    assert "write redis+sentinel://" in fault


def test_sentinels_that_do_not_answer_are_waited_for() -> None:
    """Sentinels may be started later than this process."""
    url = "redis+sentinel://127.0.0.1:1,127.0.0.1:2/tokentail"
    with connect(url, timeout_s=2) as client, pytest.raises(StoreUnavailable, match="no Sentinel answers"):
        judge(client)


def test_a_program_ends_with_the_sentence(guarded: SentinelFleet, tmp_path: Path) -> None:
    """Exit code 2, before anything runs."""
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": guarded.url.replace("/tokentail/", ",127.0.0.1:1/other/")}
    argv = [sys.executable, "-m", "tokentail", "check"]
    ended = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "know no primary of this name" in ended.stderr
    assert "sentinel.silent" not in ended.stderr
