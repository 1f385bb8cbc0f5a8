"""Log lines: time, level, action and facts, one line each, whatever the facts hold."""

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.telemetry.log_lines import LineFormatter, configure_logging, facts_of, tell_unreadable


def line_of(action: str, level: int = logging.INFO, **facts: object) -> str:
    record = logging.makeLogRecord({"msg": action, "levelno": level, "levelname": logging.getLevelName(level), **facts})
    return LineFormatter().format(record)


def test_a_line_tells_when_how_grave_and_what_with_its_facts() -> None:
    """In this order; times are UTC."""
    line = line_of("job.claimed", logging.WARNING, created=0.5, job_id="abc", attempts=2)
    assert line == "1970-01-01T00:00:00.500Z warning job.claimed job_id=abc attempts=2"


def test_a_line_ends_with_its_process() -> None:
    """The program's name, the host and the process id, where the program is known."""
    record = logging.makeLogRecord({"msg": "web.stopped", "levelname": "INFO"})
    line = LineFormatter("web").format(record)
    assert line.endswith(f"info web.stopped process=web/{socket.gethostname()}-{os.getpid()}")


def test_facts_with_spaces_or_signs_are_quoted() -> None:
    """Values are quoted, so that a line can be taken apart again."""
    line = line_of("a", empty="", text="two words", sign="a=b", quote='"')
    assert line.endswith("""a empty='' text='two words' sign='a=b' quote='"'""")


@given(st.text())
def test_no_fact_can_break_a_line_in_two(text: str) -> None:
    """A value can neither forge a line nor hide in control characters."""
    line = line_of("action", fact=text)
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_an_exception_is_told_below_its_line() -> None:
    """With its traceback."""
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.makeLogRecord({"msg": "job.crashed", "levelname": "ERROR", "exc_info": sys.exc_info()})
    first, *rest = LineFormatter().format(record).splitlines()
    assert first.endswith("error job.crashed")
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: wrong"


def test_the_facts_of_a_group_are_those_of_the_error_inside() -> None:
    """However deep: a task group's own kind and place are the same for every bug."""
    try:
        raise ValueError("a prompt")
    except ValueError as error:
        inner = error
    place = facts_of(inner)["at"]
    assert place.startswith(__file__)
    nested = BaseExceptionGroup("outer", [ExceptionGroup("middle", [inner, KeyError()])])
    assert facts_of(nested) == {"error": "ValueError", "at": place}


def test_a_key_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A client that polls a spoilt job fills no log; another key is logged at once."""
    for key in ("tt:{one}:log", "tt:{two}:log") * 50:
        tell_unreadable(key)
    assert [vars(record)["key"] for record in caplog.records] == ["tt:{one}:log", "tt:{two}:log"]


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    ours = {name: logging.getLogger(name).level for name in ("tokentail", "app", "worker")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in ours.items():
        logging.getLogger(name).setLevel(former)


@pytest.mark.usefixtures("restored_logging")
def test_our_own_processes_speak_from_the_level_that_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr; other libraries only when something is wrong."""
    configure_logging("INFO")
    logging.getLogger("worker.running.runner").info("job.claimed", extra={"job_id": "abc"})
    logging.getLogger("worker.running.runner").debug("job.detail")
    logging.getLogger("somebody").info("chatter")
    logging.getLogger("somebody").warning("trouble")
    out, err = capsys.readouterr()
    assert out == ""
    assert [re.sub(r"^\S+ ", "", line) for line in err.splitlines()] == [
        "info job.claimed job_id=abc",
        "warning trouble",
    ]
