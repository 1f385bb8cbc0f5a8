"""What is missing skips its tests at home and fails them in CI; it is never passed over in silence."""

import sys

import pytest

from tests.programs import Program

MISSING = Program("A thing", ("no-such-program-anywhere",), "TOKENTAIL_TEST_THING", "thing")
HERE = Program("A Python", ("no-such-program-anywhere", "sh"), "TOKENTAIL_TEST_THING", "dash")


def test_at_home_a_missing_program_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install, and how to say where it is."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install thing.*TOKENTAIL_TEST_THING"):
        MISSING.require()


def test_in_ci_a_missing_program_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI, a missing program is a failure with the message of the skip."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"apt-get install thing.*TOKENTAIL_TEST_THING"):
        MISSING.require()


def test_any_of_its_names_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that is there; a variable goes before all of them."""
    monkeypatch.delenv("TOKENTAIL_TEST_THING", raising=False)
    assert HERE.require().endswith("/sh")
    monkeypatch.setenv("TOKENTAIL_TEST_THING", sys.executable)
    assert HERE.require() == sys.executable


def test_a_variable_that_names_nothing_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names a program gives that program or none."""
    monkeypatch.setenv("TOKENTAIL_TEST_THING", "/no/such/program")
    assert HERE.path() is None
