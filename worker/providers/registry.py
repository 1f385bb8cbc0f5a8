"""The registry: the one list of dialects, and the way from a model's name to the provider that serves it."""

from collections.abc import Callable, Iterable, Iterator

from tokentail.catalog import ServedModel
from tokentail.endpoints import Endpoint
from worker.providers.anthropic import Anthropic
from worker.providers.demo import Demo
from worker.providers.gemini import Gemini
from worker.providers.ollama import Ollama
from worker.providers.openai_chat import OpenAiChat
from worker.providers.openai_completions import OpenAiCompletions
from worker.providers.openai_responses import OpenAiResponses
from worker.providers.provider import Provider

_DIALECTS: dict[str, Callable[[str, str, str], Provider]] = {
    "anthropic": Anthropic,
    "gemini": Gemini,
    "ollama": Ollama,
    "openai_chat": OpenAiChat,
    "openai_completions": OpenAiCompletions,
    "openai_responses": OpenAiResponses,
}


class Registry:
    """The providers of this worker, in order of preference."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = providers

    def __repr__(self) -> str:
        return f"<Registry {', '.join(model.name for model in self.served_models())}>"

    def served_models(self) -> list[ServedModel]:
        """What this worker publishes with its lease; the first is the default."""
        return [provider.served for provider in self._providers]

    @property
    def provider_names(self) -> set[str]:
        """Who there is, by the names that metrics know them by."""
        return {provider.name for provider in self._providers}

    def provider_for(self, model: str) -> Provider | None:
        """Who serves a model, by its full name; None when nobody here does."""
        return next((provider for provider in self._providers if _is_served(provider, model)), None)


def build_registry(endpoints: Iterable[Endpoint], default_model: str) -> Registry:
    """The providers behind the endpoints, and the demo; the one of the default model, if there is one, comes first."""
    providers: list[Provider] = [provider for endpoint in endpoints for provider in providers_of(endpoint)]
    providers.append(Demo())
    providers.sort(key=lambda provider: not _is_served(provider, default_model))  # stable: the rest keep their order
    return Registry(providers)


def providers_of(endpoint: Endpoint) -> Iterator[Provider]:
    """One provider a model that the endpoint names, or one for any name."""
    for model in endpoint.models or ("*",):
        served = f"{endpoint.name}/{model}"
        if endpoint.is_background:
            yield OpenAiResponses(served, endpoint.base_url, endpoint.api_key, is_background=True)
        else:
            yield _DIALECTS[endpoint.dialect](served, endpoint.base_url, endpoint.api_key)


def _is_served(provider: Provider, model: str) -> bool:
    # The demo carries its options in its name.
    name = model.partition("?")[0] if provider.served.name == "demo" else model
    return provider.served.is_named(name)
