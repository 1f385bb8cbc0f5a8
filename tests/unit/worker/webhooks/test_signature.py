"""Webhooks verify with libraries of others, unmodified: Standard Webhooks' own, and OpenAI's SDK."""

import base64
import json
import time
from typing import Any

import openai
import pytest
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from tokentail.jobs.webhook import Webhook, webhook_of
from worker.webhooks.signature import signed_headers

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3))
KINDS = ("completed", "failed", "cancelled", "incomplete")
JOB = "0123456789abcdefghjkmnpqrs"


def sent(kind: str, *secrets: str, ago_s: int = 0) -> tuple[bytes, dict[str, str]]:
    """Body and headers as a receiver gets them."""
    webhook = Webhook(JOB, kind, 1_700_000_000_999)
    body = webhook.body()
    return body, signed_headers(webhook.id, int(time.time()) - ago_s, body, secrets)


def unwrapped(body: bytes, headers: dict[str, str], secret: str) -> Any:
    return openai.OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)


@pytest.mark.parametrize("kind", KINDS)
def test_standard_webhooks_and_openai_verify_each_kind(kind: str) -> None:
    """OpenAI's SDK makes an event of its own class of each."""
    body, headers = sent(kind, NEW)
    assert StandardWebhook(NEW).verify(body, headers) == json.loads(body)
    event = unwrapped(body, headers, NEW)
    assert type(event).__name__ == f"Response{kind.capitalize()}WebhookEvent"
    assert (event.id, event.object, event.created_at) == (f"evt_{JOB}", "event", 1_700_000_000)
    assert event.data.id == f"resp_{JOB}"


def test_the_owner_of_the_job_is_in_the_body_and_hinders_no_library() -> None:
    """OpenAI's SDK passes it on. A job without an owner has no such field."""
    webhook = Webhook(JOB, "completed", 1_700_000_000_999, owner="web")
    headers = signed_headers(webhook.id, int(time.time()), webhook.body(), [NEW])
    assert StandardWebhook(NEW).verify(webhook.body(), headers)["data"] == {"id": f"resp_{JOB}", "owner": "web"}
    event = unwrapped(webhook.body(), headers, NEW)
    assert (type(event).__name__, event.data.owner) == ("ResponseCompletedWebhookEvent", "web")
    assert json.loads(sent("completed", NEW)[0])["data"] == {"id": f"resp_{JOB}"}
    assert webhook_of(JOB, b"completed 0", b"1700000000999", b"web") == webhook
    assert webhook_of(JOB, b"completed 0", b"5", b"\xff spoilt") == Webhook(JOB, "completed", 5)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_secret_is_changed_both_verify(secret: str) -> None:
    """Receivers change theirs whenever they like."""
    body, headers = sent("completed", OLD, NEW)
    StandardWebhook(secret).verify(body, headers)
    unwrapped(body, headers, secret)


def test_another_secret_a_changed_body_and_an_old_one_are_refused() -> None:
    """By both libraries; what is signed is the id, the time and the body."""
    body, headers = sent("completed", NEW)
    old_body, old_headers = sent("completed", NEW, ago_s=600)
    cases = [
        (body, headers, OTHER),
        (body.replace(b"completed", b"cancelled"), headers, NEW),
        (body, {**headers, "webhook-id": "evt_other"}, NEW),
        (old_body, old_headers, NEW),
    ]
    for changed, with_headers, secret in cases:
        with pytest.raises(WebhookVerificationError):
            StandardWebhook(secret).verify(changed, with_headers)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            unwrapped(changed, with_headers, secret)


def test_what_the_record_says_of_a_webhook_is_read_back_whole() -> None:
    """Kind, tries and the receivers that have it."""
    for webhook in (Webhook(JOB, "completed", 5), Webhook(JOB, "failed", 5, 9, frozenset({"0a1b2c3d", "ffffffff"}))):
        assert webhook_of(JOB, webhook.noted.encode(), b"5") == webhook


@pytest.mark.parametrize("ended_at", [None, b"", b"soon", b"9" * 30])
def test_a_webhook_without_the_time_of_its_end_is_not_read(ended_at: bytes | None) -> None:
    """The body would say something that did not happen."""
    assert webhook_of(JOB, b"completed 0", ended_at) is None
