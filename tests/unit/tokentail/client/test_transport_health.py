"""The transport health: when streams are abandoned and tried again, and how long polls wait."""

from tokentail.client.transport_health import TransportHealth


def test_it_begins_with_a_stream() -> None:
    """`auto` starts with a stream, the cheapest transport."""
    assert TransportHealth("auto", 20).transport(0) == "sse"


def test_a_forced_transport_is_kept() -> None:
    """A transport chosen by name stays, whatever fails."""
    for choice in ("sse", "long", "short"):
        health = TransportHealth(choice, 20)
        for now in range(9):
            health.stream_was_silent(now, has_received=False)
            health.stream_was_cut(now, has_updates=False)
            health.poll_was_lost(now, 20)
        assert health.transport(9) == choice


def test_absences_double_up_to_ten_minutes() -> None:
    """Streams are tried again after 30 s, 60 s, … 600 s."""
    health, now, absences = TransportHealth("auto", 20), 0.0, []
    for _ in range(7):
        health.leave_streams(now)
        absences.append(next(s for s in range(1, 2000) if health.transport(now + s) == "sse"))
        now += absences[-1]
    assert absences == [30, 60, 120, 240, 480, 600, 600]


def test_after_an_absence_patience_with_silence_begins_anew() -> None:
    """After an absence the first event must arrive within 1 s again, because the network may have changed."""
    health = TransportHealth("auto", 20)
    assert health.silence_s == 1
    health.stream_was_silent(0, has_received=True)
    assert health.silence_s == 12
    health.stream_was_silent(12, has_received=True)
    assert health.silence_s == 1
    assert health.transport(12) == "long"


def test_news_forgives_a_stream_that_was_cut() -> None:
    """Streams are abandoned after two in a row without an update, and an update resets the count."""
    health = TransportHealth("auto", 20)
    health.stream_was_cut(0, has_updates=False)
    health.stream_was_cut(1, has_updates=True)
    health.stream_was_cut(1, has_updates=False)
    assert health.transport(1) == "sse"
    health.stream_was_cut(2, has_updates=False)
    assert health.transport(2) == "long"


def test_long_polls_wait_a_second_at_least() -> None:
    """Long polls chosen by name wait at least a second, however many are lost."""
    health = TransportHealth("long", 20)
    for _ in range(20):
        health.poll_was_lost(0, 5)
    assert health.wait_s(0) == 1


def test_four_lost_polls_in_a_row_are_asked_without_waiting() -> None:
    """After four lost polls in a row polls do not wait, even if each was lost at once; later they wait again."""
    health = TransportHealth("auto", 20)
    health.leave_streams(0)
    for _ in range(3):
        health.poll_was_lost(0, 0.1)
    assert health.transport(0) == "long"
    health.poll_answered()
    for _ in range(4):
        health.poll_was_lost(0, 0.1)
    assert health.transport(0) == "short"
    assert health.wait_s(30) == 20
