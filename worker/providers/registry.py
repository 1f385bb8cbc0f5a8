"""The registry: the one list of providers, and the way from a model's name to the provider that serves it."""

from tokentail.fleet import ServedModel
from tokentail.settings import Settings
from worker.providers.provider import Provider


class Registry:
    """The providers of this worker, in order of preference."""

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = providers

    def served_models(self) -> list[ServedModel]:
        """What this worker publishes with its lease; the first is the default."""
        return [provider.served for provider in self._providers]

    def provider_for(self, model: str) -> Provider | None:
        """Who serves a model; None when nobody here does."""
        return next((p for p in self._providers if p.served.is_named(model)), None)


def build_registry(settings: Settings) -> Registry:
    """The providers that the settings make possible."""
    raise NotImplementedError
