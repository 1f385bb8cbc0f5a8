"""The event loop's rest between its turns."""

import gevent

from worker.running.event_loop import call_soon, rest_between_turns


def test_the_loop_rests_only_with_nothing_left_to_do() -> None:
    """A greenlet that gives way again and again is always left to do; so is a call that was asked for."""
    rests: list[int] = []
    done: list[int] = []

    def rest_s() -> float:
        rests.append(len(done))
        return 0.0

    rests_between = rest_between_turns(rest_s)
    try:
        gevent.sleep(0.01)  # the loop may have been in the middle of a turn
        rests.clear()
        for _ in range(5):
            call_soon(done.append, 1)
        gevent.sleep(0.01)
        assert rests
        assert rests[0] == 5
    finally:
        rests_between.close()
    asked = len(rests)
    gevent.sleep(0.01)
    assert len(rests) == asked
