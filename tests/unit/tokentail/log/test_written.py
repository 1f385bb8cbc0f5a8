"""What an attempt wrote: packing changes its memory and nothing else."""

import inspect
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tokentail.log.element import Reasoning, Start, encode
from tokentail.log.written import Written

TOKENS = [encode(" token"), encode("two\nlines"), encode("")]
EVENTS = [encode(Start("g", "p", "m")), encode(Reasoning("\n"))]


@given(
    st.lists(st.sampled_from(TOKENS), max_size=200),
    st.lists(st.sampled_from([*TOKENS, *EVENTS]), max_size=200),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8),
)
def test_what_was_packed_is_there_at_its_place_with_its_totals(
    before: list[bytes], behind: list[bytes], looks: list[tuple[int, int]]
) -> None:
    """A store may lose any part of a log, and gets it back at the same positions (law 8)."""
    elements = before + behind
    written, totals = Written(7, 100, 50), [(7, 100, 50)]
    for element in elements:
        tokens, size, shown = totals[-1]
        if element.startswith(b'"'):
            tokens, shown = tokens + 1, shown + len(element) - 2
        elif element == EVENTS[0]:
            tokens = shown = 0
        else:
            shown += 1
        totals.append((tokens, size + len(element), shown))
        written.add(element, *totals[-1])
    for look in looks:
        packed, start = (min(at, len(elements)) for at in look)
        written.pack(packed)
        assert len(written) == len(elements)
        assert written.after(packed) == totals[packed]
        assert written.between(start, len(elements)) == tuple(elements[start:])
        assert [written.after(i) for i in range(start, len(totals))] == totals[start:]


def test_what_the_store_has_takes_little_more_than_its_bytes() -> None:
    """A worker keeps hundreds of whole answers in memory."""
    written = Written(0, 0, 0)
    elements = [encode(f" {i:018}") for i in range(10_000)]
    tracemalloc.start()
    for i, element in enumerate(elements):
        written.add(bytes(bytearray(element)), i + 1, 21 * (i + 1), 19 * (i + 1))
        written.pack(i)
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    # Other threads of the process allocate memory, too.
    ours = [tracemalloc.Filter(True, file) for file in (__file__, inspect.getfile(Written))]
    held = sum(each.size for each in snapshot.filter_traces(ours).statistics("filename"))
    assert held < 10_000 * (len(elements[0]) + 5)
