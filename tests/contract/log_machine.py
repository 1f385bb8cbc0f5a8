"""Random interleavings of everything that can happen to one job, held against the model of its log.

Writers that are paused, repeat themselves or come late; readers at any cursor and limit; cancel, hand-over, deletion,
expiry; and a store that fails over to a replica that lagged behind.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from tests.contract.key_snapshot import KeySnapshot, job_keys, take_snapshot
from tests.contract.log_model import TRANSITIONS, LogModel, Missing, Slice
from tokentail.errors import AttemptLost, JobGone, JobNotFound
from tokentail.identifiers import new_attempt, new_generation, new_job_id
from tokentail.jobs.job import CLOSED, NewJob, Retention, Status
from tokentail.log.append import Append, Appended
from tokentail.log.batch import Batch
from tokentail.log.cursor import OPENING, Cursor, parse_cursor
from tokentail.log.element import End, Event, Reasoning, decode
from tokentail.log.writer import LogWriter
from tokentail.redis.client import RedisClient
from tokentail.redis.store import Store

NOW_MS = 1_700_000_000_000
CANCELLED, FAILED = End(Status.CANCELLED), End(Status.FAILED)
LIMITS = st.integers(1, 6)


def element_of(generation: str, number: int) -> str | Event:
    """What the upstream says at one place of a generation: always the same, so that it can be resumed."""
    return Reasoning("hm") if number % 4 == 3 else f"{generation}:{number} "


def text_of(generation: str, count: int) -> list[str]:
    """The tokens among the first `count` elements of a generation."""
    return [text for number in range(count) if isinstance(text := element_of(generation, number), str)]


@dataclass(eq=False)
class Writer:
    """One attempt: its log, where its upstream is, and every append it ever sent."""

    log: LogWriter
    is_resumable: bool = True  # whether its upstream tells positions
    generation: str = ""  # set once it has started or resumed one
    number: int = 0  # of the generation's next element
    sent: list[Append] = field(default_factory=list)

    def start(self) -> None:
        # The claim brings a name; an attempt that starts another generation takes another name.
        self.generation = new_generation() if self.generation else self.log.generation
        self.number = 0
        self.log.start(self.generation, "demo", "demo")
        self._mark()

    def resume(self) -> None:
        """Go on in the generation that the upstream still has."""
        self.generation, number = self.log.upstream.split("@")
        self.number = int(number)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.log.write(element_of(self.generation, self.number))
            self.number += 1
            self._mark()

    def _mark(self) -> None:
        if self.is_resumable:
            self.log.upstream = f"{self.generation}@{self.number}"


@dataclass(eq=False)
class Reader:
    """The four-line client."""

    limit: int
    cursor: str = "0"
    tokens: list[str] = field(default_factory=list)
    is_done: bool = False

    def take(self, batch: Batch) -> None:
        if batch.is_reset:
            self.tokens.clear()
        self.tokens += [decode(token) for token in batch.tokens]
        self.cursor = str(batch.cursor)
        self.is_done = batch.is_done


class LogMachine(RuleBasedStateMachine):
    """One job, on the store that `client` leads to."""

    writers = Bundle("writers")
    readers = Bundle("readers")

    def __init__(self, client: RedisClient) -> None:
        super().__init__()
        self.client = client
        self.store = Store(client, Retention(3_600_000, 7_200_000))
        self.job_id = new_job_id()
        self.model = LogModel([])
        self.last_status = Status.QUEUED
        self.generations: list[str] = [OPENING, "foreign0"]
        self.attempts: dict[str, Writer] = {}
        self.all_readers: list[Reader] = []
        self.snapshots: list[tuple[KeySnapshot, LogModel]] = []
        self.steps_to_live = 0

    @initialize(target=writers, is_replicated=st.booleans(), is_claimed=st.booleans(), steps_to_live=st.integers(0, 30))
    def submit(self, is_replicated: bool, is_claimed: bool, steps_to_live: int) -> object:
        """Nothing closes the job for so many steps, for little happens after it."""
        assert self.store.create(NewJob(self.job_id, "owner", "demo", NOW_MS), b"{}")
        self.model.elements = list(take_snapshot(self.client, self.job_id).log)
        self.steps_to_live = steps_to_live
        if is_replicated:
            self.replicate()
        return self._claim(is_repeated=False, may_resume=False) if is_claimed else multiple()

    @property
    def may_close(self) -> bool:
        return self.steps_to_live <= 0

    # -- writers -----------------------------------------------------------------------------------------------------

    @rule(target=writers, is_repeated=st.booleans(), may_resume=st.booleans(), is_resumable=st.booleans())
    def claim(self, is_repeated: bool, may_resume: bool, is_resumable: bool) -> object:
        """An attempt asks for the job, perhaps twice because the first answer was lost."""
        return self._claim(is_repeated, may_resume, is_resumable)

    @rule(target=writers, may_resume=st.booleans(), is_resumable=st.booleans())
    def hand_over(self, may_resume: bool, is_resumable: bool) -> object:
        """The job is taken from its holder, without the holder's knowledge, and another attempt takes it."""
        self.requeue(is_right=True, enqueues_off=0)
        return self._claim(is_repeated=False, may_resume=may_resume, is_resumable=is_resumable)

    def _claim(self, is_repeated: bool, may_resume: bool, is_resumable: bool = True) -> object:
        attempt = new_attempt()
        claim = self.store.claim(self.job_id, attempt, "w1", NOW_MS)
        if is_repeated:
            claim = self.store.claim(self.job_id, attempt, "w1", NOW_MS)
        assert (claim is not None) == self.model.claim(attempt)
        if claim is None:
            return multiple()
        assert self.model.is_claimed_as(claim)
        assert claim.generation not in self.generations
        writer = Writer(LogWriter(self.job_id, attempt, claim), is_resumable or bool(claim.upstream))
        if may_resume and claim.upstream:
            writer.resume()
            assert writer.generation == self.model.generation
            assert self.model.text_before(claim.length) == text_of(writer.generation, writer.number)
        else:
            writer.start()
        self.attempts[attempt] = writer
        return writer

    @rule(writer=writers, count=st.integers(1, 4))
    def write(self, writer: Writer, count: int) -> None:
        """Tokens come from the upstream; nothing is sent."""
        if not writer.log.is_ended:
            writer.write(count)

    @rule(writer=writers, count=st.integers(1, 4), is_reply_lost=st.booleans())
    def stream(self, writer: Writer, count: int, is_reply_lost: bool) -> None:
        """Tokens come and are sent at once."""
        self.write(writer, count)
        self.send(writer, is_reply_lost)

    @rule(writer=writers)
    def start_anew(self, writer: Writer) -> None:
        """The upstream failed after tokens were shown; the same attempt tries again."""
        if not writer.log.is_ended:
            writer.start()

    @precondition(lambda self: self.may_close)
    @rule(writer=writers, status=st.sampled_from(sorted(CLOSED)))
    def end(self, writer: Writer, status: Status) -> None:
        """The upstream is done, or failed."""
        if not writer.log.is_ended:
            writer.log.write(End(status))

    @rule(writer=writers, is_reply_lost=st.booleans())
    def send(self, writer: Writer, is_reply_lost: bool) -> None:
        """The next append. Without its reply the writer will send it again, grown perhaps."""
        if append := writer.log.next_append(NOW_MS):
            self._send(writer, append, is_reply_lost)

    @rule(writer=writers)
    def probe(self, writer: Writer) -> None:
        """The writer looks whether the store still has what it wrote."""
        if append := writer.log.probe(NOW_MS):
            self._send(writer, append, is_reply_lost=False)

    @rule(writer=writers, which=st.integers(0, 20))
    def arrive_late(self, writer: Writer, which: int) -> None:
        """An append that was sent long ago arrives, again or at last."""
        if writer.sent:
            append = writer.sent[which % len(writer.sent)]
            self._check_append(append, self._append(append))

    @rule(first=writers, second=writers)
    def send_together(self, first: Writer, second: Writer) -> None:
        """Two attempts, one of them stale, in one round trip."""
        sending = [
            (writer, append) for writer in dict.fromkeys((first, second)) if (append := writer.log.next_append(NOW_MS))
        ]
        outcomes = self.store.append_many([append for _, append in sending])
        for (writer, append), outcome in zip(sending, outcomes, strict=True):
            assert isinstance(outcome, Appended | AttemptLost)
            self._check_append(append, outcome)
            if isinstance(outcome, Appended):
                writer.log.settle(append, outcome)

    def _send(self, writer: Writer, append: Append, is_reply_lost: bool) -> None:
        writer.sent.append(append)
        outcome = self._append(append)
        self._check_append(append, outcome)
        if isinstance(outcome, Appended) and not is_reply_lost:
            writer.log.settle(append, outcome)

    def _append(self, append: Append) -> Appended | AttemptLost:
        try:
            return self.store.append(append)
        except AttemptLost as error:
            return error

    def _check_append(self, append: Append, outcome: Appended | AttemptLost) -> None:
        expected = self.model.append(append)
        assert (outcome if isinstance(outcome, Appended) else None) == expected
        if append.generation and append.generation not in self.generations:
            self.generations.append(append.generation)

    # -- everybody else ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.may_close)
    @rule(end=st.sampled_from([CANCELLED, FAILED]), whose=st.sampled_from(["*", "", "holder", "another"]))
    def close(self, end: End, whose: str) -> None:
        """A client cancels, or a sweep fails what it thinks somebody holds."""
        holder = {"holder": self.model.holder, "another": "another"}.get(whose, whose)
        if self.model.has_record:
            assert self.store.close(self.job_id, end, NOW_MS, holder=holder) == self.model.close(end, holder)

    @rule(is_right=st.booleans(), enqueues_off=st.sampled_from([0, 0, 0, 1]))
    def requeue(self, is_right: bool, enqueues_off: int) -> None:
        """A sweep takes the job back, from its holder or from an attempt that held it earlier."""
        holder = self.model.holder if is_right else "another"
        enqueues = self.model.enqueues - enqueues_off
        got = self.store.requeue(self.job_id, holder, enqueues, NOW_MS)
        assert got == self.model.requeue(holder, enqueues)

    @rule(is_meant=st.sampled_from([False, False, True]))
    def delete(self, is_meant: bool) -> None:
        """Or, more often, a duplicate that is submitted finds the job, or its tombstone."""
        if not is_meant and self.model.has_record:
            assert not self.store.create(NewJob(self.job_id, "owner", "demo", NOW_MS), b"{}")
        elif self.may_close:
            assert self.store.delete(self.job_id, NOW_MS) == self.model.delete()

    @precondition(lambda self: self.model.status.is_closed)
    @rule()
    def expire(self) -> None:
        """The content's time is over, or then the tombstone's."""
        if self.model.elements:
            self.client.delete(*job_keys(self.job_id)[1:])
            self.model.expire_content()
        else:
            self.client.delete(job_keys(self.job_id)[0])
            self.model.expire_tombstone()

    @precondition(lambda self: len(self.snapshots) < 4)
    @rule()
    def replicate(self) -> None:
        """A replica has got this far."""
        self.snapshots.append((take_snapshot(self.client, self.job_id), self.model.copy()))

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 3))
    def fail_over(self, which: int) -> None:
        """The replica takes over; what came after is forgotten, by the other replicas too."""
        del self.snapshots[which % len(self.snapshots) + 1 :]
        snapshot, model = self.snapshots[-1]
        snapshot.restore(self.client)
        self.model = model.copy()
        self.last_status = self.model.status

    # -- readers -----------------------------------------------------------------------------------------------------

    @rule(target=readers, limit=LIMITS)
    def come(self, limit: int) -> Reader:
        """A reader comes; it will carry on from its own cursor through all that happens."""
        self.all_readers.append(Reader(limit))
        return self.all_readers[-1]

    @rule(reader=readers)
    def poll(self, reader: Reader) -> None:
        """What it has by now is exactly the current generation up to its cursor."""
        if reader.is_done:
            return
        cursor = parse_cursor(reader.cursor)
        batch = self._read(cursor, reader.limit)
        if batch is not None:
            reader.take(batch)
            assert reader.tokens == self.model.text_before(parse_cursor(reader.cursor).index)

    @rule()
    def poll_all(self) -> None:
        """Everybody asks."""
        for reader in self.all_readers:
            self.poll(reader)

    @rule(which=st.integers(0, 50), index=st.integers(0, 30), limit=st.integers(0, 6))
    def peek(self, which: int, index: int, limit: int) -> None:
        """A read at any cursor at all."""
        self._read(Cursor(self.generations[which % len(self.generations)], index), limit)

    def _read(self, cursor: Cursor, limit: int) -> Batch | None:
        """The store's batch, which is what the model says; None when there is nothing to read."""
        expected = self.model.read(cursor, limit)
        try:
            batch = self.store.read(self.job_id, cursor, limit)
        except JobGone:
            assert expected is Missing.GONE
            return None
        except JobNotFound:
            assert expected is Missing.UNKNOWN
            return None
        assert Slice(batch.generation, batch.first, batch.elements, batch.is_reset, batch.is_done) == expected
        assert (batch.status, batch.length) == (self.model.status, len(self.model.elements))
        assert batch.token_count == self.model.token_count
        return batch

    # -- what must always hold ---------------------------------------------------------------------------------------

    @invariant()
    def time_passes(self) -> None:
        self.steps_to_live -= 1

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Log, record and expiry, and the status went where it may."""
        stored = take_snapshot(self.client, self.job_id)
        model = self.model
        model.check()
        assert stored.log == model.elements
        assert bool(stored.record) == model.has_record
        if model.has_record:
            record = {name.decode(): value.decode() for name, value in stored.record.items()}
            assert record["status"] == model.status
            assert (record["attempt"], record["generation"]) == (model.holder, model.generation)
            assert int(record["base"]) == model.base
            if model.elements:
                assert self.store.view(self.job_id).token_count == model.token_count
            else:
                assert int(record["tokens"]) == model.token_count
            assert record.get("upstream", "") == model.upstream
        assert (stored.request is not None) == bool(model.elements)
        if model.is_open:
            assert stored.ttls_ms == (-1, -1, -1)
        else:
            assert all(ttl_ms > 0 for ttl_ms in stored.ttls_ms if ttl_ms != -2)
        assert model.status is self.last_status or model.status in TRANSITIONS[self.last_status]
        self.last_status = model.status

    def teardown(self) -> None:
        """The job is brought to its end; every reader, wherever it stood, ends with exactly its text; it expires."""
        if not self.model.elements:
            return
        holder = self.attempts.get(self.model.holder)
        if holder is not None:
            self._see_to_end(holder)
        elif self.model.is_open:
            self.close(CANCELLED, "*")
        self.the_store_is_as_the_model()
        # A reader that was done before the store forgot what it had read does not ask again.
        asking = [reader for reader in self.all_readers if not reader.is_done]
        for reader in [*asking, Reader(1), Reader(1000)]:
            for _ in range(len(self.model.elements) + 1):
                self.poll(reader)
            assert reader.is_done
            assert reader.tokens == self.model.text_before(len(self.model.elements))
        self.expire()
        for writer in self.attempts.values():
            self.probe(writer)  # nobody starts the list anew
        self.the_store_is_as_the_model()
        self.client.delete(*job_keys(self.job_id))

    def _see_to_end(self, holder: Writer) -> None:
        """The holder heals what the store lost and completes: all that it wrote is there."""
        if not holder.log.is_ended:
            holder.log.write(End(Status.COMPLETED))
        if append := holder.log.probe(NOW_MS):
            self._send(holder, append, is_reply_lost=False)
        while append := holder.log.next_append(NOW_MS):
            self._send(holder, append, is_reply_lost=False)
        assert self.model.status.is_closed
        assert self.model.text_before(len(self.model.elements)) == text_of(holder.generation, holder.number)
