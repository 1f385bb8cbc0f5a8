"""The route: when streams are left and tried again, and how long polls wait."""

from tokentail.client.route import Route


def test_it_begins_with_a_stream() -> None:
    """Where all is well, that is the cheapest."""
    assert Route("auto", 20).transport(0) == "sse"


def test_a_forced_transport_is_kept() -> None:
    """Whatever happens to it."""
    for choice in ("sse", "long", "short"):
        route = Route(choice, 20)
        for now in range(9):
            route.stream_was_silent(now, has_spoken=False)
            route.stream_was_cut(now, has_told=False)
            route.poll_was_lost(now, 20)
        assert route.transport(9) == choice


def test_absences_double_up_to_ten_minutes() -> None:
    """30 s, 60 s, … 600 s."""
    route, now, absences = Route("auto", 20), 0.0, []
    for _ in range(7):
        route.leave_streams(now)
        absences.append(next(s for s in range(1, 2000) if route.transport(now + s) == "sse"))
        now += absences[-1]
    assert absences == [30, 60, 120, 240, 480, 600, 600]


def test_after_an_absence_patience_with_silence_begins_anew() -> None:
    """The way may be another one."""
    route = Route("auto", 20)
    assert route.silence_s == 4
    route.stream_was_silent(0, has_spoken=True)
    assert route.silence_s == 15
    route.stream_was_silent(15, has_spoken=True)
    assert route.silence_s == 4
    assert route.transport(15) == "long"


def test_news_forgives_a_stream_that_was_cut() -> None:
    """Only two in a row without any are too many."""
    route = Route("auto", 20)
    route.stream_was_cut(0, has_told=False)
    route.stream_was_cut(1, has_told=True)
    route.stream_was_cut(1, has_told=False)
    assert route.transport(1) == "sse"
    route.stream_was_cut(2, has_told=False)
    assert route.transport(2) == "long"


def test_long_polls_wait_a_second_at_least() -> None:
    """Whoever forces them gets them."""
    route = Route("long", 20)
    for _ in range(20):
        route.poll_was_lost(0, 5)
    assert route.wait_s(0) == 1


def test_four_lost_polls_in_a_row_are_asked_without_waiting() -> None:
    """Even if each was lost at once: what is short has the best chance; later they wait again, as long as before."""
    route = Route("auto", 20)
    route.leave_streams(0)
    for _ in range(3):
        route.poll_was_lost(0, 0.1)
    assert route.transport(0) == "long"
    route.poll_answered()
    for _ in range(4):
        route.poll_was_lost(0, 0.1)
    assert route.transport(0) == "short"
    assert route.wait_s(30) == 20
