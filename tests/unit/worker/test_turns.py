"""Turns: a stream that never has to wait gives way to its neighbours all the same."""

from itertools import islice

from tests.unit.worker.recorded_streams import REQUEST
from worker.dialects.openai.chat import OpenAiChat
from worker.upstream.provider import HttpCall
from worker.upstream.source import open_chunks

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


class Flood:
    """A provider that has always sent more already: no read waits."""

    status = 200
    is_delimited = True

    def __init__(self, events_a_read: int) -> None:
        self.headers: dict[str, str] = {}
        self._piece = _EVENT * events_a_read

    def send(self, call: HttpCall) -> "Flood":
        return self

    def read(self, timeout_s: float | None = None) -> bytes:
        return self._piece

    def close(self) -> None:
        """Nothing is open."""


def reads_in_a_turn(events_a_read: int) -> float:
    """How many reads of a flood follow each other before others have their turn."""
    turns: list[float] = []
    reads = 400
    provider = OpenAiChat("openai/*", "http://provider/v1", "")
    with open_chunks(provider, REQUEST, "openai/m", Flood(events_a_read), turns.append) as lists:
        assert len(list(islice(lists, reads))) == reads
    assert set(turns) == {0}
    return reads / len(turns)


def test_a_flood_gives_way_after_each_full_read() -> None:
    """What a read brings at most is a turn's work."""
    assert reads_in_a_turn(200) < 1.1


def test_small_reads_make_a_turn_together() -> None:
    """To give way costs as much as a token does, so that is not done for each; nor is it left out."""
    assert 10 <= reads_in_a_turn(1) <= 20
