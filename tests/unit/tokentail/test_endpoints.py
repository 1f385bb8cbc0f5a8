"""Endpoints: the only addresses that a worker calls, from the environment and from a file."""

from pathlib import Path

import pytest

from tokentail.endpoints import Endpoint, key_variables, load_endpoints
from tokentail.errors import SettingsError
from tokentail.settings import load_settings

GROQ = """
[providers.groq]
dialect = "openai_chat"
base_url = "https://api.groq.com/openai/v1"
api_key_env = "GROQ_KEY"
models = ["llama-3.3-70b", "other"]
"""


def load(environment: dict[str, str]) -> list[Endpoint]:
    return load_endpoints(load_settings(environment), environment)


def faults(path: Path, text: str, **environment: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load({"TOKENTAIL_PROVIDERS": str(path), **environment})
    return refused.value.faults


def test_nothing_configured_is_no_endpoint() -> None:
    """No address is called that nobody named."""
    assert load({}) == []


def test_the_well_known_variables_are_endpoints() -> None:
    """Each provider's own variable, with its own address."""
    found = load({"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "GEMINI_API_KEY": "k3", "OLLAMA_HOST": "0.0.0.0"})
    assert [(e.name, e.dialect, e.api_key) for e in found] == [
        ("openai", "openai_chat", "k1"),
        ("anthropic", "anthropic", "k2"),
        ("gemini", "gemini", "k3"),
        ("ollama", "ollama", ""),
    ]
    assert found[0].base_url == "https://api.openai.com/v1"
    assert found[3].base_url == "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("box:8080", "http://box:8080"),
        ("https://box", "https://box:443"),
        ("[::1]:11434", "http://[::1]:11434"),
        ("http://10.0.0.1:1", "http://10.0.0.1:1"),
    ],
)
def test_ollamas_own_variable_is_understood(host: str, url: str) -> None:
    """With or without scheme and port."""
    assert load({"OLLAMA_HOST": host})[0].base_url == url


def test_a_file_names_endpoints_before_the_well_known_ones(tmp_path: Path) -> None:
    """Its key comes from the variable that it names, and shows nowhere."""
    path = tmp_path / "providers.toml"
    path.write_text(GROQ)
    environment = {
        "TOKENTAIL_PROVIDERS": str(path),
        "GROQ_KEY": "secret-key",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    }
    groq, openai = load(environment)
    assert (groq.name, groq.api_key, groq.models) == ("groq", "secret-key", ("llama-3.3-70b", "other"))
    assert openai.name == "openai"
    assert "secret-key" not in repr(groq)
    assert key_variables(load_settings(environment)) == {"GROQ_KEY"}


def test_a_file_may_say_otherwise_about_a_well_known_name(tmp_path: Path) -> None:
    """Whoever writes `[providers.openai]` means it."""
    path = tmp_path / "providers.toml"
    path.write_text('[providers.openai]\ndialect = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\n')
    (found,) = load({"TOKENTAIL_PROVIDERS": str(path), "OPENAI_API_KEY": "k"})
    assert found.base_url == "http://127.0.0.1:9/v1"


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    """Not just the first."""
    told = faults(
        tmp_path / "p.toml",
        """
[providers.Bad]
dialect = "morse"
base_url = "ftp://x"
api_key_env = "NOT_SET"
background = true
[providers.odd]
dialect = "openai_chat"
base_url = "http://x/v1"
colour = "blue"
""",
    )
    text = "\n".join(told)
    for words in ("Bad: the name", "dialect", "base_url", "NOT_SET", "background", "colour"):
        assert words in text


@pytest.mark.parametrize(
    "text", ["not toml [", "x = 1", "providers = 1", '[providers.x]\ndialect = 1\nbase_url = ""\n']
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, text: str) -> None:
    """With its name."""
    assert all("p.toml" in fault for fault in faults(tmp_path / "p.toml", text))


def test_a_file_that_is_not_there_is_told() -> None:
    """With the variable that named it."""
    with pytest.raises(SettingsError, match="TOKENTAIL_PROVIDERS"):
        load({"TOKENTAIL_PROVIDERS": "/nowhere/p.toml"})
