"""What `up` decides before it starts anything."""

import socket

import pytest

from tokentail.config.settings import load_settings
from tokentail.supervisor.service import NotStarted
from tokentail.supervisor.up import free_port, served_models, wants_local_model


@pytest.mark.parametrize(
    ("environment", "is_wanted"),
    [
        pytest.param({}, True, marks=pytest.mark.checkout),
        ({"TOKENTAIL_MODEL": "local/smollm2-135m", "OPENAI_API_KEY": "sk"}, True),
        ({"TOKENTAIL_MODEL": "local", "OPENAI_API_KEY": "sk"}, True),
        ({"TOKENTAIL_MODEL": "localai/small"}, False),
        ({"TOKENTAIL_MODEL": "local-server/small"}, False),
        ({"TOKENTAIL_MODEL": "localhost/model"}, False),
        ({"TOKENTAIL_MODEL": "demo"}, False),
        ({"OPENAI_API_KEY": "sk"}, False),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, False),
        ({"TOKENTAIL_LOCAL_URL": "http://127.0.0.1:9/v1"}, False),
        ({"TOKENTAIL_LOCAL_URL": "http://127.0.0.1:9/v1", "TOKENTAIL_MODEL": "local/smollm2-135m"}, False),
    ],
)
def test_the_local_model_is_for_whom_asks_or_has_nothing_else(environment: dict[str, str], is_wanted: bool) -> None:
    """The local model takes memory and a core, so it is not started beside another provider unless it is asked for."""
    assert wants_local_model(load_settings(environment)) is is_wanted


@pytest.mark.parametrize(
    "report",
    [
        None,
        {},
        {"models": None},
        {"models": []},
        {"models": "demo"},
        {"models": {"demo": 1}},
        {"models": [1, None, ""]},
    ],
)
def test_a_report_that_is_none_has_no_models(report: dict[str, object] | None) -> None:
    """No answer, another program's answer, and one of a time without workers: `up` waits on."""
    assert served_models(report) == []


def test_a_report_names_models() -> None:
    """All of them, in order."""
    assert served_models({"workers": 1, "models": ["b", "a"]}) == ["b", "a"]


def test_any_free_port_is_found() -> None:
    """Port 0 is the system's choice, made once, so that the address can be printed."""
    assert free_port("127.0.0.1", 0) > 0


def test_a_port_in_use_is_told() -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(NotStarted, match="in use"):
        free_port("127.0.0.1", taken.getsockname()[1])


def test_a_host_that_does_not_exist_is_told() -> None:
    """A misspelt address is not a traceback."""
    with pytest.raises(NotStarted, match=r"no\.such\.host\.invalid"):
        free_port("no.such.host.invalid", 8000)
