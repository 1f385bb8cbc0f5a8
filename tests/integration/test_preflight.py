"""The preflight: a Redis with which nothing can work is named in a sentence. The servers are real, but for old ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.free_ports import free_ports
from tests.integration.web_process import WebProcess
from tests.scripted_worker import DEMO
from tests.valkey_server import ValkeyServer
from tests.waiting import eventually
from tokentail.config.settings import load_settings
from tokentail.config.store_use import StoreUse, uses_of
from tokentail.errors import StoreUnavailable
from tokentail.jobs.fleet import Fleet, Lease
from tokentail.redis.client import RedisClient, connect
from tokentail.redis.errors import redis_errors
from tokentail.redis.preflight import Verdict, judge, judge_all


def judged(url: str) -> Verdict:
    with connect(url, timeout_s=2) as client:
        return judge(client)


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server that the test may spoil."""
    with ValkeyServer() as server:
        yield server


def test_a_server_that_suits_has_no_fault(real_client: RedisClient) -> None:
    """Only that it keeps nothing on disk is noted."""
    verdict = judge(real_client)
    assert (verdict.faults, verdict.warnings) == ((), ())
    assert [note for note in verdict.notes if "append-only" in note]


class Told:
    """A server that says this of itself, and requires two replicas."""

    def __init__(self, about: dict[str, Any]) -> None:
        self._about = about

    def info(self) -> dict[str, Any]:
        return self._about

    def config_get(self, name: str) -> dict[str, str]:
        return {name: "2"}

    def get_connection_kwargs(self) -> dict[str, Any]:
        return {"host": "store", "port": 6379}


@pytest.mark.parametrize(
    ("about", "word"),
    [
        ({"redis_version": "6.2.5", "redis_mode": "standalone"}, "7.0 or newer"),
        ({"redis_version": "", "redis_mode": "standalone"}, "7.0 or newer"),
        ({"redis_version": "8.2.3", "redis_mode": "sentinel"}, "Sentinel"),
        ({"redis_version": "7.2.4", "redis_mode": "cluster"}, "Cluster"),
    ],
)
def test_what_a_server_tells_of_itself_is_a_fault(about: dict[str, Any], word: str) -> None:
    """A version that is too old, and a server that has not all keys."""

    (fault,) = judge(Told(about)).faults
    assert "store:6379" in fault
    assert word in fault


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"min_slaves_good_slaves": 1}, "(1, and min-replicas-to-write is 2)"),
        ({"min_slaves_good_slaves": 2}, None),
        ({"aof_last_write_status": "err"}, "cannot write to its append-only file"),
        ({"rdb_last_bgsave_status": "err"}, "could not save its last snapshot"),
        ({"used_memory": 95, "maxmemory": 100}, "has used 95% of its memory"),
        ({"used_memory": 89, "maxmemory": 100}, None),
        ({"role": "master", "connected_slaves": 0}, "TOKENTAIL_SUBMIT_WAIT_MS"),
        ({"role": "master", "connected_slaves": 1}, None),
    ],
)
def test_a_server_that_refuses_writes_or_soon_will_is_warned_of(about: dict[str, Any], words: str | None) -> None:
    """By its own words: too few replicas, a disk that failed, and memory; by the settings: no replica to wait for."""
    verdict = judge(Told({"redis_version": "8.0.0", **about}), StoreUse(awaits_replica=True))
    warnings = verdict.warnings + verdict.fullness
    assert (len(warnings), verdict.faults) == (int(words is not None), ())
    assert words is None or words in warnings[0]


def test_the_server_itself_says_that_too_few_replicas_are_there(own_server: ValkeyServer) -> None:
    """The warning of the preflight, and the words of the refused write, in which nothing says that it is silent."""
    client = own_server.connect()
    client.config_set("min-replicas-to-write", 1)
    (warning,) = judge(client).warnings
    assert "(0, and min-replicas-to-write is 1)" in warning
    words = "refuses writes, because too few of its replicas"
    with pytest.raises(StoreUnavailable, match=words) as refused, redis_errors():
        client.set("key", "value")
    assert "does not answer" not in str(refused.value)
    client.close()


def test_the_setting_whose_url_is_wrong_is_named(own_server: ValkeyServer) -> None:
    """Of two Redis each fault names its own variable; a URL that both share names the one that has it."""
    client = own_server.connect()
    client.config_set("requirepass", "right")
    good, wrong = (own_server.url.replace("unix://", f"unix://:{word}@") for word in ("right", "wrong"))
    for name, other in (
        ("TOKENTAIL_QUEUE_URL", "TOKENTAIL_BUFFER_URL"),
        ("TOKENTAIL_BUFFER_URL", "TOKENTAIL_QUEUE_URL"),
    ):
        verdict, _ = judge_all(uses_of(load_settings({name: wrong, other: good})), timeout_s=1)
        (fault,) = verdict.faults
        assert f"the password of {name} (" in fault
    assert [use.setting for use in uses_of(load_settings({"REDIS_URL": good}))] == ["REDIS_URL"]
    client.close()


def test_a_replica_and_an_evicting_server_are_warned_of(own_server: ValkeyServer) -> None:
    """A replica may be promoted, and the policy be corrected, while everything runs."""
    client = own_server.connect()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.replicaof("127.0.0.1", free_ports(1)[0])
    replica, evicts = judge(client).warnings
    assert "is a replica" in replica
    assert "allkeys-lru" in evicts
    client.close()


def test_a_server_that_refuses_every_command_is_a_fault(own_server: ValkeyServer) -> None:
    """A database that there is not, and no or a wrong password; the sentence has the server's words, no password."""
    client = own_server.connect()
    (fault,) = judged(f"{own_server.url}?db=99").faults
    assert "DB index is out of range" in fault
    client.config_set("requirepass", "right")
    for url in (own_server.url, own_server.url.replace("unix://", "unix://:wrong@")):
        (fault,) = judged(url).faults
        assert "refuses the user or the password" in fault
        assert "wrong@" not in fault
    client.close()


def test_what_does_not_answer_is_waited_for() -> None:
    """Nothing listens there yet."""
    url = f"redis://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(StoreUnavailable):
        judged(url)
    verdict, silent = judge_all([StoreUse(url)], timeout_s=1)
    assert (verdict, [*silent]) == (Verdict(), [url.removeprefix("redis://")])


@pytest.mark.parametrize("command", [["worker"], ["app"], ["tokentail", "check"]], ids=" ".join)
def test_each_program_ends_with_the_sentence(own_server: ValkeyServer, command: list[str], tmp_path: Path) -> None:
    """Exit code 2, before anything runs."""
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": f"{own_server.url}?db=99", "TOKENTAIL_PORT": "0"}
    argv = [sys.executable, "-m", *command]
    ended = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "DB index is out of range" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_readiness_says_what_is_wrong(own_server: ValkeyServer) -> None:
    """A password that Redis was given while the web process runs is named, as it would be at a start."""
    client = own_server.connect()
    Fleet(client).beat("worker", Lease(1, 4, [], [DEMO]))
    with WebProcess(own_server.url) as web:
        assert web.ask("GET", "/readyz").status == 200
        client.config_set("requirepass", "right")
        client.client_kill_filter(_type="normal", skipme=True)
        words = b"refuses the user or the password"
        eventually(lambda: words in web.ask("GET", "/readyz").body, within_s=20, what="the verdict is looked at again")
        client.close()
