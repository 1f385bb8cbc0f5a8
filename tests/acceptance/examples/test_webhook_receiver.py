"""webhook_receiver.py: finished answers are in SQLite, once each, and unsigned messages are refused."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import requests

from tests.acceptance.examples.conftest import EXAMPLES, KEY
from tests.acceptance.running import environment, running_up
from tests.free_ports import free_ports
from tests.keys_file import key_of, write_keys
from tests.waiting import eventually
from tests.webhook_receiver import SECRET
from tokentail.client import Client


def stored(database: Path) -> dict[str, tuple[str, str]]:
    with closing(sqlite3.connect(database)) as connection:
        return {job: (kind, text) for job, kind, text in connection.execute("SELECT job, type, text FROM answers")}


def test_every_finished_answer_is_stored(tmp_path: Path) -> None:
    """Answers that ended while the receiver was away are stored, too; a message that nobody signed stores nothing."""
    database = tmp_path / "answers.db"
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/"
    model = "demo?tokens=20&tps=0"
    with (
        running_up(
            tmp_path,
            "--model",
            model,
            TOKENTAIL_API_KEYS=KEY,
            TOKENTAIL_WEBHOOK_URLS=url,
            TOKENTAIL_WEBHOOK_SECRETS=SECRET,
        ) as up,
        Client(up.url, KEY) as client,
    ):
        early = client.submit("hello").id
        eventually(lambda: "webhook.failed" in up.log, within_s=15, what="the receiver was missed")
        settings = {"TOKENTAIL_URL": up.url, "TOKENTAIL_API_KEY": KEY, "WEBHOOK_SECRET": SECRET}
        argv = [sys.executable, str(EXAMPLES / "webhook_receiver.py"), str(database), str(port)]
        receiver = subprocess.Popen(argv, env=environment(**settings), stdout=subprocess.PIPE, text=True)
        try:
            assert receiver.stdout is not None
            assert url in receiver.stdout.readline()
            late = client.submit("hello").id
            eventually(lambda: len(stored(database)) == 2, within_s=20, what="both answers are stored")
            assert stored(database) == {job: ("response.completed", client.text(job)) for job in (early, late)}
            forged = b'{"type":"response.completed","created_at":1,"data":{"id":"resp_other"}}'
            assert requests.post(url, data=forged, timeout=10).status_code == 401
            assert requests.post(url, data=b"x" * 70_000, timeout=10).status_code == 413
            assert len(stored(database)) == 2
        finally:
            receiver.send_signal(signal.SIGTERM)
            receiver.communicate(timeout=10)


def test_each_owners_answer_is_fetched_with_its_key(tmp_path: Path) -> None:
    """An owner without a key is ignored by name; a job that the key may not read is tried again, never stored empty."""
    database = tmp_path / "answers.db"
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/"
    keys = write_keys(tmp_path / "keys.toml", web={}, crm={}, other={})
    with running_up(
        tmp_path,
        "--model",
        "demo?tokens=9&tps=0",
        TOKENTAIL_KEYS_FILE=keys,
        TOKENTAIL_WEBHOOK_URLS=url,
        TOKENTAIL_WEBHOOK_SECRETS=SECRET,
    ) as up:

        def submitted(name: str) -> str:
            with Client(up.url, key_of(name)) as client:
                return client.submit("hello").id

        def receiver(**settings: str) -> subprocess.Popen[str]:
            argv = [sys.executable, str(EXAMPLES / "webhook_receiver.py"), str(database), str(port)]
            known = environment(TOKENTAIL_URL=up.url, WEBHOOK_SECRET=SECRET, **settings)
            started = subprocess.Popen(argv, env=known, stdout=subprocess.PIPE, text=True)
            assert started.stdout is not None
            assert url in started.stdout.readline()
            return started

        one = receiver(TOKENTAIL_API_KEY=key_of("web"))
        try:
            webs, crms = submitted("web"), submitted("crm")
            eventually(lambda: "error=503" in up.log, within_s=20, what="another owner's job is tried again")
            eventually(lambda: webs in stored(database), within_s=20, what="the key's own job is stored")
            assert crms not in stored(database)
        finally:
            one.terminate()
            one.communicate(timeout=10)
        several = receiver(OWNER_KEYS=f"web={key_of('web')} crm={key_of('crm')}")
        try:
            others = submitted("other")
            eventually(lambda: crms in stored(database), within_s=40, what="the job is stored with its owner's key")
            assert all(text for _, text in stored(database).values())
            eventually(lambda: up.log.count("webhook.delivered") == 3, within_s=20, what="all were told")
            assert others not in stored(database)
        finally:
            several.terminate()
            said, _ = several.communicate(timeout=10)
        assert f"Ignored: {others} is a job of other" in said
