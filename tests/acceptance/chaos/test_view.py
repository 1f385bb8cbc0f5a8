"""The checker itself: what it must notice in a reader's answers, it notices."""

from typing import Any

import pytest

from tests.acceptance.chaos.marked_token import MarkedToken, answer_text
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation


def body(*tokens: tuple[int, int], reset: bool = False, done: bool = False, **more: Any) -> dict[str, Any]:
    """A poll's answer with these tokens of job 7, each (call, place)."""
    return {
        "job_id": "j",
        "status": "completed" if done else "running",
        "tokens": [MarkedToken(7, *token).text for token in tokens],
        "cursor": "c",
        "reset": reset,
        "done": done,
        **more,
    }


@pytest.fixture
def view() -> View:
    """A reader of `/tokens` that has read two tokens of the first call."""
    view = View("j", 7, "short", is_events=False)
    view.take(body((1, 0), (1, 1)))
    return view


def test_an_honest_answer_passes(view: View) -> None:
    """A reset in the middle, then all of another call."""
    view.take(body((1, 2)))
    view.take(body((2, 0), reset=True))
    view.take(body((2, 1), done=True))
    assert (view.status, view.text, view.resets, view.repeats) == ("completed", answer_text(7, 2, 2), 1, [])


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (body((1, 1)), "twice or out of order"),
        (body((1, 2), (1, 2)), "twice or out of order"),
        (body((1, 3)), "gap"),
        (body((2, 2)), "without a reset"),
        (body((2, 0)), "without a reset"),
        (body((1, 2), reset=True), "gap"),
        (body(tokens=["8.1.2;"]), "no token of this job"),
        (body(tokens=["7.1.2;7.1.3;"]), "no token of this job"),
        (body(job_id="k"), "another job's"),
        (body(done=True, status="running"), "done, and yet running"),
    ],
)
def test_a_broken_promise_is_told_with_its_history(view: View, answer: dict[str, Any], fault: str) -> None:
    """Job, reader, and the answers that led to it."""
    with pytest.raises(Violation, match=fault) as told:
        view.take(answer)
    assert "job j: short: " in str(told.value)
    assert "7.1.1;" in str(told.value)


def test_a_reset_brings_the_content_that_replaces_the_text(view: View) -> None:
    """In its own answer, or where that was limited to the `start`, in the next one; the text is lost otherwise."""
    view.take(body(reset=True))
    view.take(body((2, 0)))
    view.take(body((3, 0), reset=True))
    assert view.losses == []
    view.take(body(reset=True))
    view.take(body())
    view.take(body((4, 0)))
    view.take(body(reset=True, done=True))
    assert len(view.losses) == 2


def test_nothing_may_follow_the_end(view: View) -> None:
    """Not even nothing."""
    view.take(body(done=True))
    with pytest.raises(Violation, match="after the end"):
        view.take(body())


def test_a_reset_that_was_not_needed_is_remembered(view: View) -> None:
    """Whether there was a reason for it, the verdict knows."""
    view.take(body((1, 0), reset=True))
    assert len(view.repeats) == 1


def event_body(*events: Any, **more: Any) -> dict[str, Any]:
    return {"events": list(events), **body(**more)}


@pytest.mark.parametrize(
    ("events", "more", "fault"),
    [
        (["7.1.0;"], {}, "before the start"),
        ([{"type": "start"}, {"type": "start"}], {}, "second generation"),
        ([{"type": "start"}, {"type": "end", "status": "failed"}, "7.1.0;"], {}, "after the end"),
        ([{"type": "start"}, {"type": "end", "status": "failed"}], {"done": True}, "done as completed"),
        ([{"type": "start"}], {"done": True}, "done as completed"),
    ],
)
def test_events_are_checked_too(events: list[Any], more: dict[str, Any], fault: str) -> None:
    """One start, first; one end, last, and the same as the status."""
    view = View("j", 7, "events", is_events=True)
    with pytest.raises(Violation, match=fault):
        view.take(event_body(*events, **more))
