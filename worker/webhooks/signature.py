"""The signature of a webhook, by Standard Webhooks 1.0.0, which OpenAI's SDKs verify as well. Pure."""

import hmac
from base64 import b64encode
from collections.abc import Sequence

from tokentail.config.webhook_faults import secret_key


def signed_headers(webhook_id: str, at_s: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers for a body that is sent at `at_s` (Unix seconds), with one signature for each secret."""
    signed = f"{webhook_id}.{at_s}.".encode() + body
    signatures = (b64encode(hmac.digest(secret_key(secret), signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
