"""The provider check: `python -m worker.provider_check` asks each endpoint for a few tokens and reports on it.

Prints one JSON object a line: {name, dialect, model, is_ok, detail, ms}. Costs what a few tokens cost.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from tokentail.config.library_checks import exit_if_changed
from tokentail.config.library_parts import PROVIDERS

exit_if_changed(PROVIDERS)  # before the imports that would fail

from tokentail.config.endpoints import Endpoint, load_endpoints
from tokentail.config.settings import Settings, load_settings
from tokentail.errors import InvalidRequest, SettingsError
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.request import parse_request
from worker.chunk import ProviderFailure
from worker.dialects.registry import providers_of
from worker.upstream.provider import Provider
from worker.upstream.source import open_chunks
from worker.upstream.transport import HttpTransport

_TOKENS = 16  # the least that every dialect takes
_TIMEOUT_S = 30.0
# What to ask for where an endpoint takes any name: small, cheap, and likely to be there.
_LIKELY_MODELS = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}


def main() -> int:
    """The exit status: 0 when every endpoint answered, 1 when some did not, 2 for settings at fault."""
    try:
        settings = load_settings(os.environ)
        endpoints = load_endpoints(settings, os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    transport = HttpTransport(connections=1, connect_timeout_s=settings.connect_timeout_s, read_timeout_s=_TIMEOUT_S)
    is_ok = True
    for endpoint in endpoints:
        for report in _reports(endpoint, settings, transport):
            is_ok = is_ok and report["is_ok"]
            print(json.dumps(report), flush=True)
    return 0 if is_ok else 1


def _reports(endpoint: Endpoint, settings: Settings, transport: HttpTransport) -> Iterator[dict[str, Any]]:
    for provider in providers_of(endpoint):
        model = _model(endpoint, provider, settings)
        began = time.monotonic()
        is_ok, detail = _try(provider, model, transport) if model else (False, "name a model of it in TOKENTAIL_MODEL")
        yield {
            "name": endpoint.name,
            "dialect": endpoint.dialect,
            "model": model,
            "is_ok": is_ok,
            "detail": detail,
            "ms": round((time.monotonic() - began) * 1000),
        }


def _model(endpoint: Endpoint, provider: Provider, settings: Settings) -> str:
    name = provider.served.name
    if not name.endswith("*"):
        return name
    if provider.served.is_named(settings.model):
        return settings.model
    likely = _LIKELY_MODELS.get(endpoint.name, "")
    return f"{endpoint.name}/{likely}" if likely else ""


def _try(provider: Provider, model: str, transport: HttpTransport) -> tuple[bool, str]:
    body = {"prompt": "Say hello.", "max_tokens": _TOKENS, "model": model}
    request = parse_request(json.dumps(body).encode())
    try:
        check_dialect(request, provider.served.dialect)
        with open_chunks(provider, request, model, transport) as answer:
            tokens = sum(isinstance(chunk, str) for chunks in answer for chunk in chunks)
    except (ProviderFailure, InvalidRequest) as error:
        return False, str(error)
    return True, f"{tokens} pieces of text"


if __name__ == "__main__":
    sys.exit(main())
