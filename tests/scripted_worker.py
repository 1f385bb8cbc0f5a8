"""A worker of the tests' own: it takes a job and writes what a test asks for straight into the store."""

from dataclasses import dataclass

from tokentail.identifiers import new_attempt, new_job_id
from tokentail.jobs.fleet import Lease
from tokentail.jobs.job import FinishReason, NewJob, Status, Usage
from tokentail.jobs.models import ServedModel
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import End, Event, decode
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms

COMPLETED = End(Status.COMPLETED, FinishReason.STOP, "stop", Usage(3, 2))
DEMO = ServedModel("demo", "demo", "demo")


@dataclass
class ScriptedWorker:
    """Writes for any job of one backend."""

    backend: Backend

    def beat(self, *models: ServedModel, slots: int = 10) -> None:
        """Publish a lease, as a worker that serves `models` (demo, if none is named)."""
        self.backend.fleet.beat("scripted", Lease(1, slots, [], list(models) or [DEMO]))
        self.backend.observer.observe()

    def submit(self, owner: str = "") -> str:
        """A new job in the store, queued nowhere."""
        job_id = new_job_id()
        self.backend.store.create(NewJob(job_id, owner, "demo", now_ms()), b'{"prompt":"why"}')
        return job_id

    def begin(self, job_id: str) -> LogWriter:
        """Claim the job and begin a generation, of which the store has nothing yet."""
        attempt = new_attempt()
        claim = self.backend.store.claim(job_id, attempt, "scripted", now_ms())
        assert claim is not None
        writer = LogWriter(job_id, attempt, claim)
        writer.start(writer.generation, "demo", "demo")
        return writer

    def take(self, job_id: str) -> LogWriter:
        """Claim the job and begin a generation."""
        writer = self.begin(job_id)
        self.drain(writer)
        return writer

    def say(self, writer: LogWriter, *elements: str | Event) -> None:
        """Append."""
        for element in elements:
            writer.write(element)
        self.drain(writer)

    def answer(self, job_id: str, *tokens: str) -> None:
        """Take the job, say these tokens, and complete it."""
        self.say(self.take(job_id), *tokens, COMPLETED)

    def text(self, job_id: str) -> str:
        """The text of the job's generation."""
        return "".join(decode(token) for token in self.backend.store.read(job_id, BEGINNING, 10_000).tokens)

    def drain(self, writer: LogWriter) -> None:
        """Send everything that was written."""
        while append := writer.next_append(now_ms()):
            writer.settle(append, self.backend.store.append(append))
