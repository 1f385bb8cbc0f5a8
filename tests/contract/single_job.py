"""One job on one store, in the words of the laws: attempts that write, readers that read, a store that forgets."""

from dataclasses import dataclass, field

from tests.contract.key_snapshot import KeySnapshot, job_keys, take_snapshot
from tokentail.identifiers import new_attempt, new_generation, new_job_id
from tokentail.jobs.job import FinishReason, Job, NewJob, Status
from tokentail.log.append import Appended
from tokentail.log.batch import Batch
from tokentail.log.cursor import parse_cursor
from tokentail.log.element import End, decode
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend

COMPLETED = End(Status.COMPLETED, FinishReason.STOP)
CANCELLED = End(Status.CANCELLED)
FAILED = End(Status.FAILED)
NOW_MS = 1_700_000_000_000


@dataclass
class SingleJob:
    """A job that was just created."""

    backend: Backend
    id: str = field(default_factory=new_job_id)

    def __post_init__(self) -> None:
        assert self.backend.store.create(NewJob(self.id, "owner", "demo", NOW_MS), b'{"prompt":"why"}')

    # -- writing -----------------------------------------------------------------------------------------------------

    def claim(self, worker: str = "w1") -> LogWriter:
        """The writer of a new attempt."""
        attempt = new_attempt()
        claim = self.backend.store.claim(self.id, attempt, worker, NOW_MS)
        assert claim is not None
        return LogWriter(self.id, attempt, claim)

    def start(self, *tokens: str) -> LogWriter:
        """A new attempt that has begun a generation with these tokens, all of it in the store."""
        writer = self.claim()
        writer.start(writer.generation, "demo", "demo")
        return self.write(writer, *tokens)

    def write(self, writer: LogWriter, *elements: str | End) -> LogWriter:
        """Write and have the store take it all."""
        for element in elements:
            writer.write(element)
        return self.drain(writer)

    def drain(self, writer: LogWriter) -> LogWriter:
        """Send what the store is not known to have. Raises AttemptLost."""
        while append := writer.next_append(NOW_MS):
            writer.settle(append, self.backend.store.append(append))
        return writer

    def probe(self, writer: LogWriter) -> LogWriter:
        """What a worker does with every lease: look whether the store has lost anything, and put it back."""
        append = writer.probe(NOW_MS)
        assert append is not None
        writer.settle(append, self.backend.store.append(append))
        return self.drain(writer)

    def send_without_reply(self, writer: LogWriter) -> Appended:
        """Have the store take the next append, and the writer not know; the reply that was lost."""
        append = writer.next_append(NOW_MS)
        assert append is not None
        return self.backend.store.append(append)

    def requeue(self) -> int:
        """Take the job from its holder."""
        job = self.view()
        return self.backend.store.requeue(self.id, job.attempt, job.enqueues, NOW_MS)

    def close(self, end: End = CANCELLED) -> bool:
        return self.backend.store.close(self.id, end, NOW_MS)

    def delete(self) -> bool:
        return self.backend.store.delete(self.id, NOW_MS)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, cursor: str = "0", limit: int = 1000) -> Batch:
        """What a client gets that sends `cursor`."""
        return self.backend.store.read(self.id, parse_cursor(cursor), limit)

    def text(self) -> str:
        """The current generation's text."""
        return "".join(decode(token) for token in self.read().tokens)

    def view(self) -> Job:
        return self.backend.store.view(self.id)

    def status(self) -> Status:
        return self.view().status

    # -- the store ---------------------------------------------------------------------------------------------------

    def stored(self) -> list[bytes]:
        """The log as the store has it, from element 0."""
        log: list[bytes] = self.backend.buffer_client.lrange(job_keys(self.id)[1], 0, -1)
        return log

    def ttls_ms(self) -> tuple[int, int, int]:
        """Time left for record, log and request; -1: no expiry, -2: no such key."""
        record, log, request = (self.backend.buffer_client.pttl(name) for name in job_keys(self.id))
        return record, log, request

    def snapshot(self) -> KeySnapshot:
        return take_snapshot(self.backend.buffer_client, self.id)

    def roll_back(self, snapshot: KeySnapshot) -> None:
        """The store fails over to a replica that had got this far."""
        snapshot.restore(self.backend.buffer_client)

    def expire_content(self) -> None:
        """The kept time of log and request is over."""
        self.backend.buffer_client.delete(*job_keys(self.id)[1:])

    def expire_tombstone(self) -> None:
        """What was left of the record is gone, too."""
        self.backend.buffer_client.delete(job_keys(self.id)[0])


@dataclass
class FourLineClient:
    """The simplest correct client: if `reset`, clear; append the tokens; keep the cursor; stop at `done`."""

    job: SingleJob
    limit: int = 1000
    cursor: str = "0"
    tokens: list[str] = field(default_factory=list)
    is_done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    def poll(self) -> Batch:
        batch = self.job.read(self.cursor, self.limit)
        if batch.is_reset:
            self.tokens.clear()
        self.tokens += [decode(token) for token in batch.tokens]
        self.cursor = str(batch.cursor)
        self.is_done = batch.is_done
        return batch


def other_generation() -> str:
    """A generation of some other job."""
    return new_generation()
