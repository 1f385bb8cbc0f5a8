"""The log machine with a tail beside the store: it hears what the store publishes, late, twice, or not at all.

Whatever it says is what the store would say; where it cannot know that, it says nothing.
"""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from msgspec.structs import replace

from tests.contract.live_subscription import subscribe
from tests.contract.log_machine import LIMITS, NOW_MS, LogMachine
from tokentail.errors import JobGone, JobNotFound
from tokentail.log.batch import Batch
from tokentail.log.cursor import BEGINNING, Cursor
from tokentail.log.tail import Tail
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel

MOST_BYTES = st.sampled_from([30, 200, 10_000])


def without_times(batch: Batch | None) -> Batch | None:
    """What a tail knows. Messages bring no times: those of appends are when it heard of them, and the pace is by those;
    when a log that has just ended will go it learns by the next read."""
    if batch is None:
        return None
    return replace(batch, pace=None, appended_at_ms=None, expires_at_ms=None)


class TailMachine(LogMachine):
    """One job and one tail of it."""

    def __init__(self, client: RedisClient) -> None:
        super().__init__(client)
        self.tail: Tail | None = None
        self.most_bytes = 0
        self.pending: list[bytes] = []  # published, and not yet heard
        self.heard: list[bytes] = []
        self.is_blind = False  # something was dropped of which nothing has told yet
        self.told_of = self.model
        self.channel = live_channel(self.job_id).encode()
        self.mark = f"{live_channel(self.job_id)}:mark"
        self.pubsub = subscribe(client, self.job_id, self.mark)
        self._hear()

    def _hear(self) -> None:
        """All that was published by now."""
        self.client.publish(self.mark, "")
        while (message := self.pubsub.get_message(timeout=5)) is not None:
            if message["type"] != "message":
                continue
            if message["channel"] != self.channel:
                return
            self.pending.append(message["data"])

    @precondition(lambda self: self.tail is None)
    @rule(which=st.integers(0, 50), index=st.integers(0, 30), limit=LIMITS, most_bytes=MOST_BYTES)
    def begin(self, which: int, index: int, limit: int, most_bytes: int) -> None:
        """Somebody reads, and a tail begins with that; nothing was confirmed yet."""
        batch = self._asked(Cursor(self.generations[which % len(self.generations)], index), limit)
        if batch is not None:
            self.tail, self.most_bytes = Tail(batch, most_bytes), most_bytes
            assert self.tail.read(BEGINNING, 1) is None

    @precondition(lambda self: self.tail is not None)
    @rule(limit=st.sampled_from([2, 1000, 1000, 1000]))
    def read_again(self, limit: int) -> None:
        """What was published before comes later, or came already."""
        assert self.tail is not None
        batch = self._asked(self.tail.where(), limit)
        if batch is None:
            self.tail = None
        else:
            version = self.tail.version
            self.tail.take(batch)
            assert self.tail.version > version
            self.is_blind = False

    @precondition(lambda self: self.tail is not None)
    @rule(count=st.integers(1, 5))
    def hear(self, count: int) -> None:
        """Messages come, in order. What is no longer live is read again, at once or later."""
        for _ in range(min(count, len(self.pending))):
            message = self.pending.pop(0)
            self._feed(message)
            self.heard.append(message)

    @rule()
    def hear_all(self) -> None:
        """All pending messages come, and the log is read again where the tail is not live after them."""
        while self.tail is not None and self.pending:
            self.hear(1)
        if self.tail is not None and not self.tail.is_live:
            self.read_again(1000)

    def _feed(self, message: bytes) -> None:
        assert self.tail is not None
        was_live, version = self.tail.is_live, self.tail.version
        is_known = self.tail.feed(message, NOW_MS)
        brings_elements = not message.endswith(b"\n")
        assert self.tail.is_live <= was_live
        assert is_known <= self.tail.is_live
        if self.tail.is_live:
            assert brings_elements, "the record has changed"
            self.is_blind = False
        else:
            assert self.tail.version == version
            assert self.tail.read(BEGINNING, 1) is None

    @precondition(lambda self: self.pending)
    @rule()
    def drop(self) -> None:
        """One message is lost, which no connection does; the next one tells."""
        self.pending.pop(0)
        self.is_blind = True

    @precondition(lambda self: self.tail is not None and self.heard)
    @rule(which=st.integers(0, 100))
    def hear_twice(self, which: int) -> None:
        """An old message again."""
        assert self.tail is not None
        is_blind = self.is_blind
        self._feed(self.heard[which % len(self.heard)])
        self.is_blind = is_blind

    @precondition(lambda self: self.tail is not None)
    @rule()
    def lose_connection(self) -> None:
        """Whatever was under way is lost."""
        assert self.tail is not None
        self.tail.stale()
        self.pending.clear()
        self.is_blind = False

    @precondition(lambda self: self.tail is not None)
    @rule(which=st.integers(0, 50), index=st.integers(0, 30), limit=LIMITS)
    def extend(self, which: int, index: int, limit: int) -> None:
        """A reader who was behind the tail has read from the store."""
        assert self.tail is not None
        batch = self._asked(Cursor(self.generations[which % len(self.generations)], index), limit)
        if batch is not None:
            self.tail.extend(batch)

    @precondition(lambda self: self.tail is not None)
    @rule(is_meant=st.sampled_from([False, False, True]))
    def forget(self, is_meant: bool) -> None:
        """Memory is short."""
        assert self.tail is not None
        if is_meant:
            self.tail.forget()
            assert self.tail.size == 0

    @rule(which=st.integers(0, 50), index=st.integers(0, 30), limit=LIMITS)
    def look(self, which: int, index: int, limit: int) -> None:
        """Any cursor at all."""
        self.look_at(Cursor(self.generations[which % len(self.generations)], index), limit)

    def look_at(self, cursor: Cursor, limit: int) -> None:
        if self.tail is None or self.pending or self.is_blind:
            return
        read = without_times(self.tail.read(cursor, limit))
        if read is not None:
            assert read == without_times(self._asked(cursor, limit))

    def _asked(self, cursor: Cursor, limit: int) -> Batch | None:
        try:
            return self.store.read(self.job_id, cursor, limit)
        except (JobGone, JobNotFound):
            return None

    @invariant()
    def the_tail_is_as_the_store(self) -> None:
        """From everywhere, once it has received everything; and it keeps no more than it may."""
        self._hear()
        if self.told_of is not self.model:  # the store failed over; no connection outlives that, and no message
            self.told_of = self.model
            if self.tail is not None:
                self.lose_connection()
            self.pending.clear()
            self.heard.clear()
        if self.tail is None:
            self.pending.clear()
            return
        if not self.pending and not self.is_blind and not self.model.is_readable:
            if self.tail.is_live:  # expired: that is known by the time, and told by nobody
                self.tail = None
            return
        assert self.tail.size <= self.most_bytes
        self.look_at(BEGINNING, 1000)
        for index in range(self.model.base, len(self.model.elements) + 1):
            self.look_at(Cursor(self.model.generation, index), 1000)

    def teardown(self) -> None:
        super().teardown()
        self.pubsub.close()
