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
