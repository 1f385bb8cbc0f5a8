"""Settings: read from a mapping, checked as a whole, every fault told at once, secrets hidden."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.config.address import Address
from tokentail.config.settings import Settings, load_settings
from tokentail.errors import SettingsError

NAMES = [f.metadata["name"] for f in fields(Settings)]


def faults(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load_settings(environment)
    return refused.value.faults


def test_nothing_set_is_a_configuration() -> None:
    """A newcomer on a loopback address."""
    settings = load_settings({})
    assert settings == Settings()
    assert settings.is_loopback


def test_an_empty_variable_counts_as_absent() -> None:
    """Compose files and shells set them so."""
    assert load_settings(dict.fromkeys(NAMES, "")) == Settings()
    assert load_settings(dict.fromkeys(NAMES, "  ")) == Settings()


def test_foreign_variables_do_not_matter() -> None:
    """The environment is full of them."""
    assert load_settings({"PATH": "/bin", "TOKENTAIL_NO_SUCH": "1"}) == Settings()


def test_values_are_read_by_their_kind() -> None:
    """Text, whole numbers, decimals, truth, paths and lists."""
    settings = load_settings(
        {
            "REDIS_URL": "redis://localhost:6379/0",
            "TOKENTAIL_PORT": "0",
            "TOKENTAIL_MAX_WAIT_S": "1.5",
            "TOKENTAIL_ALLOW_OPEN": "Yes",
            "TOKENTAIL_DATA_DIR": "/var/lib/tokentail",
            "TOKENTAIL_API_KEYS": " one, two ,,",
        }
    )
    assert (settings.port, settings.max_wait_s, settings.allow_open) == (0, 1.5, True)
    assert settings.data_dir == Path("/var/lib/tokentail")
    assert settings.api_keys == ("one", "two")


def test_queue_and_buffer_are_one_redis_unless_told() -> None:
    """Each can be set for itself."""
    one = load_settings({"REDIS_URL": "redis://one"})
    assert (one.queue, one.buffer) == ("redis://one", "redis://one")
    two = load_settings({"REDIS_URL": "redis://one", "TOKENTAIL_BUFFER_URL": "redis://two"})
    assert (two.queue, two.buffer) == ("redis://one", "redis://two")


def test_durations_reach_the_store_in_milliseconds() -> None:
    """Seconds outside, milliseconds inside."""
    retention = load_settings({"TOKENTAIL_RETENTION_S": "1.5", "TOKENTAIL_TOMBSTONE_S": "2"}).retention
    assert (retention.content_ms, retention.tombstone_ms) == (1500, 2000)


def test_every_fault_is_told_at_once() -> None:
    """Not one at a time, one restart each; the error's text holds them all."""
    told = faults(
        TOKENTAIL_PORT="http",
        TOKENTAIL_MAX_WAIT_S="301",
        TOKENTAIL_LEASE_S="1",
        TOKENTAIL_ALLOW_OPEN="perhaps",
        TOKENTAIL_LOG_LEVEL="LOUD",
        REDIS_URL="localhost:6379",
        OPENAI_BASE_URL="api.openai.com/v1",
    )
    assert sorted(fault.split(":", 1)[0] for fault in told) == [
        "OPENAI_BASE_URL",
        "REDIS_URL",
        "TOKENTAIL_ALLOW_OPEN",
        "TOKENTAIL_LEASE_S",
        "TOKENTAIL_LOG_LEVEL",
        "TOKENTAIL_MAX_WAIT_S",
        "TOKENTAIL_PORT",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENTAIL_PORT", "-1"),
        ("TOKENTAIL_PORT", "65536"),
        ("TOKENTAIL_PORT", "80.0"),
        ("TOKENTAIL_PORT", "٨٠"),
        ("TOKENTAIL_MAX_WAIT_S", "nan"),
        ("TOKENTAIL_MAX_WAIT_S", "inf"),
        ("TOKENTAIL_MAX_WAIT_S", "1e9"),
        ("TOKENTAIL_MAX_WAIT_S", "-1"),
        ("TOKENTAIL_RETENTION_S", "0"),
        ("TOKENTAIL_MAX_LOSSES", "0"),
        ("TOKENTAIL_MAX_BODY_BYTES", "1"),
        ("TOKENTAIL_ALLOW_OPEN", "2"),
        ("REDIS_URL", "http://localhost"),
        ("TOKENTAIL_BUFFER_URL", "nowhere"),
        ("OPENAI_BASE_URL", "https://"),
        ("OPENAI_BASE_URL", "ftp://host/v1"),
        ("TOKENTAIL_API_KEYS", "good,with space"),
        ("TOKENTAIL_API_KEYS", "schlüssel"),
        ("TOKENTAIL_LOG_LEVEL", "debug!"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    """The variable that must be changed is named."""
    assert any(fault.startswith(name) for fault in faults(**{name: value}))


@pytest.mark.parametrize("model", ["openai/*", "openai/", "local/", "demo?x=1", "demo?tokens=5&"])
def test_a_default_model_that_no_provider_could_serve_is_told(model: str) -> None:
    """A pattern, a slash at the end, options that the demo does not have."""
    assert [fault.partition(":")[0] for fault in faults(TOKENTAIL_MODEL=model)] == ["TOKENTAIL_MODEL"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_listening_to_the_world_without_keys_is_refused(host: str) -> None:
    """A flag overrides it, and keys do."""
    assert any(fault.startswith("TOKENTAIL_HOST") for fault in faults(TOKENTAIL_HOST=host))
    assert load_settings({"TOKENTAIL_HOST": host, "TOKENTAIL_API_KEYS": "k"}).host == host
    assert load_settings({"TOKENTAIL_HOST": host, "TOKENTAIL_ALLOW_OPEN": "1"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_keys(host: str) -> None:
    """Only this machine reaches it."""
    assert load_settings({"TOKENTAIL_HOST": host}).is_loopback


@pytest.mark.parametrize("name", ["REDIS_URL", "OPENAI_BASE_URL"])
def test_an_address_that_cannot_be_parsed_is_told(name: str) -> None:
    """A bracket that does not close is a fault like any other, not a traceback."""
    for url in ("http://[::1", "redis://host:port", "http://host:port/v1"):
        assert any(fault.startswith(name) for fault in faults(**{name: url}))


def test_half_a_pair_of_redis_servers_is_told() -> None:
    """Queue or buffer alone leaves the other nowhere to be."""
    told = faults(TOKENTAIL_QUEUE_URL="redis://queue")
    assert any("TOKENTAIL_BUFFER_URL" in fault for fault in told)


SECRETS = {
    "REDIS_URL": "redis://:hidden@one",
    "TOKENTAIL_QUEUE_URL": "redis://:hidden@two",
    "TOKENTAIL_BUFFER_URL": "redis://:hidden@three",
    "TOKENTAIL_API_KEYS": "hidden-1,hidden-2",
    "OPENAI_API_KEY": "sk-hidden",
}


def test_secrets_are_neither_in_the_repr_nor_in_the_description() -> None:
    """Only that they are set, and how many keys; names and meanings are printed for all."""
    settings = load_settings(SECRETS)
    described = {name: shown for name, shown, _ in settings.describe()}
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(described)
    assert described["OPENAI_API_KEY"] == "(set)"
    assert described["TOKENTAIL_API_KEYS"] == "(set, 2 keys)"
    assert list(described) == NAMES
    assert all(meaning for _, _, meaning in settings.describe())


def test_everything_that_is_named_a_key_is_secret() -> None:
    """A provider added later must not be forgotten; nor a URL of Redis, which may hold a password."""
    for f in fields(Settings):
        name = f.metadata["name"]
        if name.endswith(("_API_KEY", "_API_KEYS")) or name in SECRETS:
            assert f.metadata["secret"], name
            assert not f.repr, name


def test_a_faulty_secret_is_not_repeated() -> None:
    """Errors end up in terminals and logs."""
    for name in ("REDIS_URL", "TOKENTAIL_QUEUE_URL", "TOKENTAIL_BUFFER_URL", "TOKENTAIL_API_KEYS"):
        assert "hidden" not in " ".join(faults(**{name: "hid den hidden"}))


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20), max_size=5))
def test_any_environment_is_settings_or_told(environment: dict[str, str]) -> None:
    """Nothing else comes out, and every fault begins with a variable's name."""
    told: list[str] = []
    try:
        load_settings(environment)
    except SettingsError as error:
        told = error.faults
    assert {re.split("[: ]", fault)[0] for fault in told} <= set(NAMES)


def test_metrics_have_an_address_or_are_off() -> None:
    """Host and port: whether it is open to the network should stand there."""
    settings = load_settings({"TOKENTAIL_WORKER_METRICS": "127.0.0.1:9100", "TOKENTAIL_WEB_METRICS": "[::1]:0"})
    assert (settings.worker_metrics, settings.web_metrics) == (Address("127.0.0.1", 9100), Address("::1", 0))
    shown = {name: value for name, value, _ in settings.describe()}
    assert (shown["TOKENTAIL_WORKER_METRICS"], shown["TOKENTAIL_WEB_METRICS"]) == ("127.0.0.1:9100", "[::1]:0")
    assert load_settings({}).web_metrics is None
    assert {value for name, value, _ in Settings().describe() if name.endswith("_METRICS")} == {""}
    assert faults(TOKENTAIL_WORKER_METRICS="9100") == [
        "TOKENTAIL_WORKER_METRICS: is not an address like 127.0.0.1:9100"
    ]


@pytest.mark.parametrize("taken", [{"TOKENTAIL_WORKER_METRICS": "127.0.0.1:9100"}, {"TOKENTAIL_PORT": "9100"}])
def test_the_web_process_s_metrics_take_nobody_s_address(taken: dict[str, str]) -> None:
    """On one machine, as `up` has it, the second would not start."""
    told = faults(TOKENTAIL_WEB_METRICS="127.0.0.1:9100", **taken)
    assert told == ["TOKENTAIL_WEB_METRICS: is an address that something else listens on"]


def test_a_process_that_needs_redis_says_so() -> None:
    """In one line, which names the way out."""
    load_settings({"TOKENTAIL_QUEUE_URL": "redis://a", "TOKENTAIL_BUFFER_URL": "redis://b"}).require_redis()
    with pytest.raises(SettingsError, match=r"REDIS_URL: is not set.*tokentail up"):
        load_settings({}).require_redis()
