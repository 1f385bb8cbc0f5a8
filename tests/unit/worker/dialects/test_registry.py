"""The registry: the providers that the environment makes possible, in order, and which of them serves a model."""

import json
from pathlib import Path

import pytest

from tokentail.config.endpoints import load_endpoints
from tokentail.config.settings import load_settings
from tokentail.jobs.models import resolve_model
from tokentail.jobs.request import GenerationRequest, Timeouts
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.registry import Registry, build_registry

REQUEST = GenerationRequest(prompt="x")
LOCAL = {"TOKENTAIL_LOCAL_URL": "http://127.0.0.1:9/v1"}
KEY = {"OPENAI_API_KEY": "sk-secret"}


def registry(**environment: str) -> Registry:
    settings = load_settings(environment)
    return build_registry(load_endpoints(settings, environment), settings.model)


def names(found: Registry) -> list[str]:
    return [model.name for model in found.served_models()]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["demo"]),
        (LOCAL, ["local/smollm2-135m", "demo"]),
        (KEY, ["openai/*", "demo"]),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, ["openai/*", "demo"]),
        ({**LOCAL, **KEY}, ["openai/*", "local/smollm2-135m", "demo"]),
        ({**LOCAL, **KEY, "TOKENTAIL_MODEL": "local/smollm2-135m"}, ["local/smollm2-135m", "openai/*", "demo"]),
        ({**LOCAL, **KEY, "TOKENTAIL_MODEL": "local"}, ["local/smollm2-135m", "openai/*", "demo"]),
        ({**LOCAL, "TOKENTAIL_MODEL": "demo?tokens=5&tps=0"}, ["demo", "local/smollm2-135m"]),
        ({**KEY, "TOKENTAIL_MODEL": "unheard-of"}, ["openai/*", "demo"]),
    ],
)
def test_what_is_configured_is_served(environment: dict[str, str], expected: list[str]) -> None:
    """The provider of the default model comes first, then the rest in their fixed order."""
    assert names(registry(**environment)) == expected


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("openai/gpt-x", "openai"),
        ("openai/org/name", "openai"),
        ("local/smollm2-135m", "local"),
        ("demo", "demo"),
        ("demo?tokens=5", "demo"),
        ("local/other", None),
        ("demonstration", None),
        ("gpt-x", None),
    ],
)
def test_a_name_leads_to_its_provider(model: str, provider: str | None) -> None:
    """Or to nobody."""
    found = registry(**LOCAL, **KEY).provider_for(model)
    assert (found.name if found else None) == provider


@pytest.mark.parametrize("model", ["openai/gpt-x", "local/smollm2-135m", "demo", "demo?tokens=5&tps=0"])
def test_what_the_catalog_lets_through_is_served(model: str) -> None:
    """The web process and the worker agree on names."""
    found = registry(**LOCAL, **KEY)
    assert found.provider_for(resolve_model(model, found.served_models(), "")) is not None


def test_each_provider_is_called_at_its_own_address_by_its_own_name() -> None:
    """The key goes to OpenAI alone."""
    found = registry(**LOCAL, **KEY)
    openai, local = found.provider_for("openai/gpt-x"), found.provider_for("local/smollm2-135m")
    assert isinstance(openai, OpenAiChat)
    assert isinstance(local, OpenAiChat)
    asked, asked_locally = openai.call(REQUEST, "openai/gpt-x"), local.call(REQUEST, "local/smollm2-135m")
    assert (asked.url, asked_locally.url) == (
        "https://api.openai.com/v1/chat/completions",
        "http://127.0.0.1:9/v1/chat/completions",
    )
    assert [json.loads(call.body)["model"] for call in (asked, asked_locally)] == ["gpt-x", "smollm2-135m"]
    assert "Authorization" not in asked_locally.headers
    assert "secret" not in repr(found)


def test_the_deadlines_of_a_model_are_those_of_its_provider(tmp_path: Path) -> None:
    """The name before the slash tells whose; a provider without any leaves them to the deployment."""
    path = tmp_path / "providers.toml"
    path.write_text('[providers.slow]\ndialect = "openai_chat"\nbase_url = "http://h"\ntimeouts = {idle_s = 900}\n')
    found = registry(TOKENTAIL_PROVIDERS=str(path), **KEY)
    assert found.timeouts_of("slow/m") == Timeouts(idle_s=900)
    assert found.timeouts_of("openai/m") == found.timeouts_of("demo?tps=1") == Timeouts()
