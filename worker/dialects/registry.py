"""The registry: the one list of dialects, and the way from a model's name to the provider that serves it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tokentail.config.endpoints import Additions, Endpoint
from tokentail.jobs.models import ServedModel, full_name
from tokentail.jobs.request import DEFAULT_TIMEOUTS, Timeouts
from worker.dialects.anthropic.messages import Anthropic
from worker.dialects.demo import Demo
from worker.dialects.google.gemini import Gemini
from worker.dialects.ollama import Ollama
from worker.dialects.openai.chat import OpenAiChat
from worker.dialects.openai.completions import OpenAiCompletions
from worker.dialects.openai.responses import OpenAiResponses
from worker.upstream.address import origin_of
from worker.upstream.provider import HttpProvider, Provider

_DIALECTS: dict[str, Callable[[str, str, str, Additions], HttpProvider]] = {
    "anthropic": Anthropic,
    "gemini": Gemini,
    "ollama": Ollama,
    "openai_chat": OpenAiChat,
    "openai_completions": OpenAiCompletions,
    "openai_responses": OpenAiResponses,
}


class Registry:
    """The providers of this worker, in order of preference."""

    def __init__(self, providers: list[Provider], endpoints: Iterable[Endpoint] = ()) -> None:
        self._providers = providers
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}

    def __repr__(self) -> str:
        return f"<Registry {', '.join(model.name for model in self.served_models())}>"

    def served_models(self) -> list[ServedModel]:
        """What this worker publishes with its lease; the first is the default."""
        return [provider.served for provider in self._providers]

    @property
    def provider_names(self) -> set[str]:
        """The names by which metrics know the providers."""
        return {provider.name for provider in self._providers}

    def provider_for(self, model: str) -> Provider | None:
        """The provider that serves a model, by the model's full name; None when no provider here serves it."""
        return next((provider for provider in self._providers if _is_served(provider, model)), None)

    def timeouts_of(self, model: str) -> Timeouts:
        """The deadlines that the providers' file sets for a model, by its full name."""
        name, _, model = model.partition("/")
        return self._endpoints[name].timeouts_of(model) if name in self._endpoints else DEFAULT_TIMEOUTS


def build_registry(endpoints: Sequence[Endpoint], default_model: str) -> Registry:
    """The providers behind the endpoints, and the demo; the one of the default model, if there is one, comes first."""
    providers: list[Provider] = [provider for endpoint in endpoints for provider in providers_of(endpoint)]
    providers.append(Demo())
    default = full_name(default_model, [provider.served for provider in providers])
    providers.sort(key=lambda provider: not _is_served(provider, default))  # stable: the rest keep their order
    return Registry(providers, endpoints)


def providers_of(endpoint: Endpoint) -> Iterator[HttpProvider]:
    """One provider a model that the endpoint names, or one for any name."""
    for served in endpoint.served_names:
        told = (served, endpoint.base_url, endpoint.api_key, endpoint.additions)
        provider: HttpProvider
        if endpoint.is_background:
            provider = OpenAiResponses(*told, is_background=True)
        else:
            provider = _DIALECTS[endpoint.dialect](*told)
        provider.needs_reason = endpoint.needs_reason
        provider.address = origin_of(endpoint.base_url)
        provider.key_source = endpoint.key_source
        yield provider


def _is_served(provider: Provider, model: str) -> bool:
    # The demo carries its options in its name.
    name = model.partition("?")[0] if provider.served.name == "demo" else model
    return provider.served.is_named(name)
