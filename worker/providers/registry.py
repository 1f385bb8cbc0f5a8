"""The registry: the one list of providers, and the way from a model's name to the provider that serves it."""

from tokentail.catalog import ServedModel
from tokentail.settings import Settings
from worker.providers.demo import Demo
from worker.providers.openai_chat import OpenAiChat
from worker.providers.provider import Provider

_OPENAI_URL = "https://api.openai.com/v1"


class Registry:
    """The providers of this worker, in order of preference."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = providers

    def __repr__(self) -> str:
        return f"<Registry {', '.join(model.name for model in self.served_models())}>"

    def served_models(self) -> list[ServedModel]:
        """What this worker publishes with its lease; the first is the default."""
        return [provider.served for provider in self._providers]

    def provider_for(self, model: str) -> Provider | None:
        """Who serves a model, by its full name; None when nobody here does."""
        return next((provider for provider in self._providers if _is_served(provider, model)), None)


def build_registry(settings: Settings) -> Registry:
    """The providers that the settings make possible; the one of the default model, if it is set, comes first."""
    providers: list[Provider] = []
    if settings.openai_api_key or settings.openai_base_url:
        providers.append(OpenAiChat("openai/*", settings.openai_base_url or _OPENAI_URL, settings.openai_api_key))
    if settings.local_url:
        providers.append(OpenAiChat("local/smollm2-135m", settings.local_url, ""))
    providers.append(Demo())
    providers.sort(key=lambda provider: not _is_served(provider, settings.model))  # stable: the rest keep their order
    return Registry(providers)


def _is_served(provider: Provider, model: str) -> bool:
    # The demo carries its options in its name.
    name = model.partition("?")[0] if provider.served.name == "demo" else model
    return provider.served.is_named(name)
