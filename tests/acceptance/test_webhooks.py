"""Webhooks of a real `tokentail up`: each end is sent, though workers are killed; no stream waits for a receiver."""

import os
import signal
import ssl
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests
from standardwebhooks import Webhook as StandardWebhook

from tests.acceptance.running import TOKENTAIL, Up, environment, running_up, wait_for_end
from tests.programs import OPENSSL
from tests.waiting import eventually
from tests.webhook_receiver import HANG, SECRET, Receiver, webhook_receiver


def _up(folder: Path, model: str, receiver: Receiver, **settings: str) -> AbstractContextManager[Up]:
    """A deployment that tells this receiver."""
    hooks = {"TOKENTAIL_WEBHOOK_URLS": receiver.url, "TOKENTAIL_WEBHOOK_SECRETS": SECRET}
    return running_up(folder, "--model", model, cwd=None, **hooks, **settings)


def test_each_end_is_told_once_and_verifies(tmp_path: Path) -> None:
    """Completed and cancelled jobs; within seconds, by the worker, with nothing of the answer."""
    with (
        webhook_receiver(204) as receiver,
        _up(tmp_path, "demo", receiver) as up,
    ):
        completed = up.submit(prompt="hello", model="demo?tokens=5&tps=0")
        cancelled = up.submit(prompt="hello", model="demo?tokens=1000&tps=10")
        requests.post(f"{up.url}/v1/jobs/{cancelled}/cancel", timeout=10).raise_for_status()
        eventually(lambda: len(receiver.received) >= 2, within_s=15, what="both were told")
        told = {each.id: StandardWebhook(SECRET).verify(each.body, each.headers) for each in receiver.received}
        assert {name: event["type"] for name, event in told.items()} == {
            f"evt_{completed}": "response.completed",
            f"evt_{cancelled}": "response.cancelled",
        }
        assert told[f"evt_{completed}"]["data"] == {"id": f"resp_{completed}"}
        assert (
            requests.get(f"{up.url}/openai/v1/responses/resp_{completed}", timeout=10).json()["status"] == "completed"
        )
        eventually(lambda: up.log.count("webhook.delivered") == 2, what="the log tells of both")
    assert len(receiver.received) == 2


def test_a_webhook_is_told_though_its_worker_is_killed_in_the_middle(tmp_path: Path) -> None:
    """kill -9 while the receiver has not answered: the next worker tells it, with the same id and body."""
    with (
        webhook_receiver(HANG, 200) as receiver,
        _up(
            tmp_path,
            "demo?tokens=5&tps=0",
            receiver,
            TOKENTAIL_WEBHOOK_TIMEOUT_S="3",
            TOKENTAIL_LEASE_S="2",
        ) as up,
    ):
        job_id = up.submit(prompt="hello")
        eventually(lambda: receiver.received, within_s=15, what="the first try has come")
        os.kill(up.children()["worker"], signal.SIGKILL)
        eventually(lambda: len(receiver.received) == 2, within_s=40, what="another try has come")
        first, second = receiver.received
        assert first.id == second.id == f"evt_{job_id}"
        assert first.body == second.body
        eventually(lambda: "webhook.delivered" in up.log, what="it was delivered")


def test_the_job_of_a_worker_that_is_killed_at_its_very_end_is_told(tmp_path: Path) -> None:
    """Ten workers are killed around the ends of their jobs; each job's end is sent at least once."""
    with (
        webhook_receiver(200) as receiver,
        _up(
            tmp_path,
            "demo?tokens=20&tps=40",
            receiver,
            TOKENTAIL_MAX_LOSSES="50",
            TOKENTAIL_LEASE_S="2",
        ) as up,
    ):
        jobs = []
        for round_ in range(4):
            jobs += [up.submit(prompt="hello") for _ in range(5)]
            eventually(lambda: "worker" in up.children(), within_s=20, what="a worker runs")
            wait_for_end(up, jobs[-1], within_s=40)
            time.sleep(0.3 * round_)  # at another moment of the way from the end to the receiver each time
            os.kill(up.children()["worker"], signal.SIGKILL)
        told = {f"evt_{job_id}" for job_id in jobs}
        eventually(lambda: told <= {each.id for each in receiver.received}, within_s=60, what="all were told")


def test_receivers_that_hang_keep_no_stream_waiting(tmp_path: Path) -> None:
    """With all of a worker's webhook greenlets stuck, an answer takes the time that it takes."""
    with (
        webhook_receiver(HANG) as receiver,
        _up(
            tmp_path,
            "demo",
            receiver,
            TOKENTAIL_WEBHOOK_TIMEOUT_S="30",
        ) as up,
    ):
        for _ in range(30):
            up.submit(prompt="hello", model="demo?tokens=2&tps=0")
        eventually(lambda: len(receiver.received) == 8, within_s=20, what="all greenlets are stuck")
        began = time.monotonic()
        job_id = up.submit(prompt="hello", model="demo?tokens=40&tps=20")
        assert wait_for_end(up, job_id) == "completed"
        assert time.monotonic() - began < 4
        assert len(receiver.received) == 8, "more than the bound were tried at once"


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """The address that it names is not one of the deployment's."""
    with webhook_receiver(200) as elsewhere, webhook_receiver(307, location=elsewhere.url) as receiver:
        with _up(tmp_path, "demo?tokens=2&tps=0", receiver) as up:
            up.submit(prompt="hello")
            eventually(lambda: "webhook.failed" in up.log, within_s=15, what="the try has failed")
            assert "error=307" in up.log
        assert elsewhere.received == []


def test_a_receiver_whose_certificate_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    """The webhook stays due, and the log names the host."""
    with webhook_receiver(200, tls=_self_signed(tmp_path)) as receiver:
        with _up(tmp_path, "demo?tokens=2&tps=0", receiver) as up:
            up.submit(prompt="hello")
            eventually(lambda: "webhook.failed" in up.log, within_s=15, what="the try has failed")
            assert "to=127.0.0.1 error=unavailable" in up.log
        assert receiver.received == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"TOKENTAIL_WEBHOOK_URLS": "https://one.test"}, "TOKENTAIL_WEBHOOK_SECRETS: is not set"),
        ({"TOKENTAIL_WEBHOOK_SECRETS": "whsec_c2hvcnQ="}, "secret 1 is not whsec_ and the base64"),
        ({"TOKENTAIL_WEBHOOK_URLS": "ftp://hidden", "TOKENTAIL_WEBHOOK_SECRETS": SECRET}, "address 1 is not an http"),
    ],
)
def test_wrong_settings_say_what_to_do(settings: dict[str, str], fault: str, tmp_path: Path) -> None:
    """The faults show neither addresses nor secrets."""
    ran = subprocess.run(
        [TOKENTAIL, "check"], env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert fault in ran.stdout + ran.stderr
    assert "hidden" not in ran.stdout + ran.stderr


def _self_signed(folder: Path) -> ssl.SSLContext:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    words += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [
            OPENSSL.require(),
            *words.split(),
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
