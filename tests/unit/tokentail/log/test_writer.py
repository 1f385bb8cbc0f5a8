"""The writing end of a log: what it sends, what it sends again, and when it gives up. No store is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.errors import AttemptLost
from tokentail.jobs.job import Claim, Status
from tokentail.log.append import MAX_APPEND, Append, Appended
from tokentail.log.element import End, Event, Reasoning, encode, is_token
from tokentail.log.writer import LogWriter

FIRST = 4  # elements that were in the log before this attempt


def new_writer(upstream: str = "") -> LogWriter:
    claim = Claim("owner", "gen00000", FIRST, 3, 30, upstream, 1, b"{}", 7, None)
    return LogWriter("job", "attempt", claim)


def next_of(writer: LogWriter) -> Append:
    append = writer.next_append(7)
    assert append is not None
    return append


def test_a_writer_with_nothing_to_say_sends_nothing() -> None:
    """A writer with nothing to write makes neither an append nor a probe."""
    assert new_writer().next_append(7) is None
    assert new_writer().probe(7) is None
    assert new_writer().unsettled == 0


def test_an_append_says_whose_it_is_and_where_it_goes() -> None:
    """The attempt, the expected index, the moment and the totals, the claim's included."""
    writer = new_writer()
    writer.write("a")
    writer.write(Reasoning("b"))
    elements = (encode("a"), encode(Reasoning("b")))
    size = 30 + sum(map(len, elements))
    assert next_of(writer) == Append(
        "job", "attempt", FIRST, elements, 7, token_count=4, byte_count=size, counts="- - - - 2"
    )


def test_until_it_is_settled_the_same_is_sent_again() -> None:
    """An append that is repeated has grown, if more was written meanwhile."""
    writer = new_writer()
    writer.write("a")
    first = next_of(writer)
    assert next_of(writer) == first
    writer.write("b")
    assert next_of(writer).expected == first.expected
    assert next_of(writer).elements == (*first.elements, encode("b"))


def test_what_is_settled_is_not_sent_again() -> None:
    """The next append starts after it, also when more was written while it was under way."""
    writer = new_writer()
    writer.write("a")
    sent = next_of(writer)
    writer.write("b")
    writer.settle(sent, Appended(FIRST + 1))
    assert writer.unsettled == 1
    assert (next_of(writer).expected, next_of(writer).elements) == (FIRST + 1, (encode("b"),))


def test_it_knows_how_much_is_not_settled() -> None:
    """In elements and in bytes, of its own alone; more again when the store has lost some."""
    writer = new_writer()
    for text in ("a", "bcd", "ef"):
        writer.write(text)
    assert (writer.unsettled, writer.unsettled_bytes) == (3, 3 + 5 + 4)
    sent = next_of(writer)
    writer.write("ghij")
    writer.settle(sent, Appended(FIRST + 3))
    assert (writer.unsettled, writer.unsettled_bytes) == (1, 6)
    writer.settle(next_of(writer), Appended(FIRST + 1, is_lost=True))
    assert (writer.unsettled, writer.unsettled_bytes) == (3, 5 + 4 + 6)
    writer.settle(next_of(writer), Appended(FIRST + 4))
    assert (writer.unsettled, writer.unsettled_bytes) == (0, 0)


def test_the_end_status_goes_with_the_append_that_holds_the_end() -> None:
    """The end's status goes with the append that holds the end, and with no other append."""
    writer = new_writer()
    for _ in range(MAX_APPEND):
        writer.write("x")
    writer.write(End(Status.FAILED))
    assert writer.is_ended
    first = next_of(writer)
    assert (len(first.elements), first.end_status) == (MAX_APPEND, None)
    writer.settle(first, Appended(FIRST + MAX_APPEND))
    assert (len(next_of(writer).elements), next_of(writer).end_status) == (1, Status.FAILED)


def test_a_generation_starts_at_the_head_of_an_append() -> None:
    """What came before it leaves first, with its own count."""
    writer = new_writer()
    writer.start("gen00000", "demo", "demo")
    writer.write("a")
    writer.start("gen00001", "demo", "demo")
    writer.write("b")
    writer.write("c")
    first = next_of(writer)
    assert (first.generation, len(first.elements), first.token_count) == ("gen00000", 2, 1)
    writer.settle(first, Appended(FIRST + 2))
    second = next_of(writer)
    assert (second.generation, len(second.elements), second.token_count) == ("gen00001", 3, 2)
    assert writer.generation == "gen00001"


def test_a_loss_is_made_good_from_where_the_store_is() -> None:
    """The very same elements at the very same positions."""
    writer = new_writer()
    for token in "abcde":
        writer.write(token)
    before = next_of(writer)
    writer.settle(before, Appended(FIRST + 5))
    writer.write("f")
    writer.settle(next_of(writer), Appended(FIRST + 2, is_lost=True))
    again = next_of(writer)
    assert (again.expected, again.elements) == (FIRST + 2, (*before.elements[2:], encode("f")))


def test_a_loss_of_what_others_wrote_cannot_be_made_good() -> None:
    """The attempt stops rather than leave a hole."""
    writer = new_writer()
    writer.write("a")
    with pytest.raises(AttemptLost):
        writer.settle(next_of(writer), Appended(FIRST - 1, is_lost=True))


def test_a_probe_is_an_append_of_the_last_element() -> None:
    """A healthy store has it already; one that has less says so."""
    writer = new_writer()
    for token in "abc":
        writer.write(token)
    probe = writer.probe(7)
    assert probe is not None
    assert (probe.expected, probe.elements) == (FIRST + 2, (encode("c"),))
    writer.settle(probe, Appended(FIRST, is_lost=True))
    assert writer.unsettled == 3


def test_a_resumed_upstream_is_kept_until_there_is_a_newer_position() -> None:
    """An append never takes back what the claim told."""
    writer = new_writer(upstream="41")
    writer.write("a")
    assert next_of(writer).upstream == "41"
    writer.upstream = "42"
    assert (writer.upstream, next_of(writer).upstream) == ("42", "42")


def test_an_ended_writer_takes_nothing() -> None:
    """After the end, neither a token nor a second end can be written."""
    writer = new_writer()
    writer.write(End(Status.CANCELLED))
    for more in ("a", End(Status.COMPLETED)):
        with pytest.raises(ValueError, match="ended"):
            writer.write(more)
    assert writer.unsettled == 1


def test_its_repr_tells_where_it_stands_and_nothing_of_the_text() -> None:
    """A writer's repr contains no token: it may be printed anywhere."""
    writer = new_writer()
    writer.write("secret")
    assert repr(writer) == "<LogWriter job 4+0/1 open>"


class PlainStore:
    """A list that takes appends as the script does, forgets its tail, and whose replies may be lost."""

    def __init__(self) -> None:
        self.log: list[bytes] = [b"before"] * FIRST
        self.totals = (FIRST, 3, 30)  # the record's: elements that are counted, tokens and bytes of them

    def append(self, append: Append) -> Appended:
        if append.expected > len(self.log):
            return Appended(len(self.log), is_lost=True)
        more = append.elements[len(self.log) - append.expected :]
        self.log += more
        if append.has_totals and more:
            self.totals = (len(self.log), append.token_count, append.byte_count)
        counted, tokens, size = self.totals
        uncounted = self.log[counted:]
        assert all(map(is_token, uncounted))
        assert tokens + len(uncounted) == 3 + sum(map(is_token, self.log))
        assert size + sum(map(len, uncounted)) == 30 + sum(map(len, self.log[FIRST:]))
        return Appended(len(self.log))

    def forget(self, amount: int) -> None:
        """Lose the last elements; a record that counted some of them is then one of an earlier moment."""
        del self.log[max(FIRST, len(self.log) - amount) :]
        counted = self.log[FIRST : self.totals[0]]
        self.totals = (FIRST + len(counted), 3 + sum(map(is_token, counted)), 30 + sum(map(len, counted)))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 1500)),
        st.tuples(st.just("send"), st.booleans()),
        st.tuples(st.just("probe"), st.just(0)),
        st.tuples(st.just("forget"), st.integers(0, 2000)),
    ),
    max_size=25,
)


@given(steps)
def test_whatever_is_lost_the_store_ends_with_all_that_was_written(steps: list[tuple[str, int]]) -> None:
    """Once each, in order, with totals that are true of every append's end."""
    store, writer = PlainStore(), new_writer()
    written: list[str | Event] = []
    for step, amount in steps:
        append = writer.probe(7) if step == "probe" else writer.next_append(7)
        if step == "write":
            written += ["x"] * amount
            for _ in range(amount):
                writer.write("x")
        elif step == "forget":
            store.forget(amount)
        elif append is not None:
            outcome = store.append(append)
            if step == "probe" or amount:
                writer.settle(append, outcome)
    if probe := writer.probe(7):
        writer.settle(probe, store.append(probe))
    while append := writer.next_append(7):
        writer.settle(append, store.append(append))
    assert store.log[FIRST:] == [encode(element) for element in written]
