"""Both bindings on one store and one moment. Each request is sent twice, for the read plane answers the second from
memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.contract.single_job import CANCELLED
from tests.http_harness import HttpHarness, open_harness
from tests.loopback import LoopThread
from tests.scripted_worker import COMPLETED
from tokentail.config.settings import load_settings
from tokentail.jobs.job import Failure, FailureKind, Status
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End, Reasoning, Refusal, ToolCall
from tokentail.redis.backend import wire
from tokentail.redis.client import RedisClient

KEY = "key-one"
# A test may last longer than a lease does; without a worker, the advice when to poll next is another.
SETTINGS = {
    "TOKENTAIL_API_KEYS": f"{KEY},key-two",
    "TOKENTAIL_CORS_ORIGINS": "https://app.example",
    "TOKENTAIL_LEASE_S": "600",
}
OF_THE_CONNECTION = {"date", "server", "connection", "transfer-encoding", "keep-alive"}

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Bindings:
    """Both, and the jobs there are."""

    flask: HttpHarness
    plane: HttpHarness
    jobs: dict[str, str]  # name → id
    cursors: dict[str, str]  # name of the job → a cursor in the middle of it

    def flask_and_plane(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """What both answer when they are asked once each."""
        named = {"Authorization": f"Bearer {KEY}", **headers}
        by_flask, by_plane = (_asked(harness, method, path, named, body) for harness in (self.flask, self.plane))
        assert by_plane == by_flask, f"{method} {path} {body!r}"
        return by_flask

    def assert_same(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """What both answer, the second time too."""
        for name, job_id in self.jobs.items():
            path = path.replace(f"<{name}>", job_id)
        named = {"Authorization": f"Bearer {KEY}", **(headers or {})}
        named = {name: value for name, value in named.items() if value != "-"}
        asked = [
            _asked(harness, method, path, named, body) for harness in (self.flask, self.plane, self.flask, self.plane)
        ]
        by_flask, *others = asked
        for other in others:
            assert other == by_flask, f"{method} {path} {named}"
        return by_flask


def _asked(harness: HttpHarness, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    with harness.client.open(path, method=method, headers=headers, data=body) as answer:
        content = answer.data
    ours = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in OF_THE_CONNECTION}
    return answer.status_code, ours, content


@pytest.fixture
def both(real_client: RedisClient, valkey_url: str, loop_thread: LoopThread) -> Iterator[Bindings]:
    harnesses = []
    for thread in (None, loop_thread):
        backend = wire(real_client, real_client, load_settings(SETTINGS))
        harnesses.append(open_harness(backend, thread, valkey_url, has_worker=True, is_timeless=True, **SETTINGS))
    flask, plane = harnesses
    names = ("queued", "started", "running", "completed", "empty", "failed", "cancelled", "anew", "deleted", "long")
    worker = flask.worker
    jobs = {
        name: worker.submit(flask.calls.access.owner_of_key({"authorization": f"Bearer {KEY}"}) or "") for name in names
    }
    worker.take(jobs["started"])
    worker.say(worker.take(jobs["running"]), Reasoning("hm"), 'Hel"\n')
    said = ("a\r\nb", "c\rd\n", "[DONE]", "🙂\u2028", "", Reasoning("hm"), Refusal("no"), ToolCall(0, "1", "f", "{}"))
    worker.say(worker.take(jobs["completed"]), *said, COMPLETED)
    worker.say(worker.take(jobs["empty"]), COMPLETED)
    failure = Failure(FailureKind.OVERLOADED, "Overloaded\r\n.", is_retryable=True, provider_status=529)
    worker.say(worker.take(jobs["failed"]), "a", End(Status.FAILED, error=failure))
    worker.say(worker.take(jobs["cancelled"]), "a")
    flask.backend.store.close(jobs["cancelled"], CANCELLED, 1_700_000_000_000)
    writer = worker.take(jobs["anew"])
    worker.say(writer, "old", "older")
    # Not by a poll: what follows would be heard, and a pace as it is heard depends on how busy the machine is.
    cursors = {"old": str(flask.backend.store.read(jobs["anew"], BEGINNING, 10).cursor)}
    writer.start("second", "demo", "demo")
    worker.say(writer, "new")
    worker.say(worker.take(jobs["long"]), *(f"{n} " for n in range(1500)), COMPLETED)
    cursors["middle"] = _cursor(flask, jobs["completed"], "?limit=3")
    cursors["end"] = _cursor(flask, jobs["completed"])
    flask.backend.store.delete(jobs["deleted"], 1_700_000_000_000)
    yield Bindings(flask, plane, jobs, cursors)
    for harness in harnesses:
        harness.close()


def _cursor(harness: HttpHarness, job_id: str, query: str = "") -> str:
    """The cursor that a poll gives."""
    answer = harness.get(f"/v1/jobs/{job_id}/tokens{query}", headers={"Authorization": f"Bearer {KEY}"})
    return str(answer.get_json()["cursor"])
