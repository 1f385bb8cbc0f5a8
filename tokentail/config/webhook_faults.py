"""What is wrong with the settings of webhooks. No fault shows an address or a secret."""

import binascii
from base64 import b64decode
from collections.abc import Iterator

from tokentail.config.address import is_http_url

PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64  # Standard Webhooks, "Signature scheme"
_MOST_RECEIVERS = 50


def webhook_faults(urls: tuple[str, ...], secrets: tuple[str, ...]) -> Iterator[str]:
    """Every fault, in the words of `tokentail check`."""
    for position, url in enumerate(urls, start=1):
        if not (is_http_url(url) and url.isascii() and url.isprintable()):
            yield f"TOKENTAIL_WEBHOOK_URLS: address {position} is not an http:// or https:// address"
    if len(set(urls)) < len(urls):
        yield "TOKENTAIL_WEBHOOK_URLS: an address is named twice"
    if len(urls) > _MOST_RECEIVERS:
        yield f"TOKENTAIL_WEBHOOK_URLS: names more than {_MOST_RECEIVERS} addresses"
    for position, secret in enumerate(secrets, start=1):
        if not _LEAST_BYTES <= len(secret_key(secret)) <= _MOST_BYTES:
            yield (
                f"TOKENTAIL_WEBHOOK_SECRETS: secret {position} is not {PREFIX} and the base64 of {_LEAST_BYTES} to "
                f'{_MOST_BYTES} bytes; make one with: echo "{PREFIX}$(openssl rand -base64 32)"'
            )
    if urls and not secrets:
        yield (
            "TOKENTAIL_WEBHOOK_SECRETS: is not set, and without it no receiver can tell our webhooks from others; "
            f'make one with: echo "{PREFIX}$(openssl rand -base64 32)"'
        )


def secret_key(secret: str) -> bytes:
    """The bytes that sign; empty for text that is no secret."""
    if not secret.startswith(PREFIX):
        return b""
    try:
        return b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
