"""The worker calls the addresses that are configured and no other, whatever a request or an upstream says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.integration.raw_server import CLOSE_DELIMITED, FIRST, Connection, RawServer, raw_server

KEY = "sk-for-the-configured-address"
_LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_GEMINI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}


@dataclass(frozen=True)
class Deployment:
    """A running `up` with the endpoints `own`, `gem` and `moved`; nothing leads to `elsewhere` but words."""

    up: Up
    own: RawServer
    moved: RawServer
    elsewhere: RawServer

    def asked(self) -> tuple[str, dict[str, Any]]:
        """Path and body of the last call that `own` got."""
        head, _, body = self.own.requests[-1].partition(b"\r\n\r\n")
        return head.split(b" ")[1].decode(), json.loads(body)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("addresses")
    with raw_server(answers) as elsewhere, raw_server(answers) as own:

        def redirects(connection: Connection) -> None:
            connection.take_request()
            head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
            connection.send(head.encode())
            connection.wait_for_close()

        with raw_server(redirects) as moved:
            providers = folder / "providers.toml"
            providers.write_text(
                "".join(
                    f'[providers.{name}]\ndialect = "{dialect}"\nbase_url = "{url}"\napi_key_env = "OWN_KEY"\n'
                    for name, dialect, url in (
                        ("own", "openai_chat", base_of(own)),
                        ("gem", "gemini", base_of(own).removesuffix("/v1")),
                        ("moved", "openai_chat", base_of(moved)),
                    )
                )
            )
            with running_up(folder, TOKENTAIL_PROVIDERS=str(providers), OWN_KEY=KEY) as up:
                yield Deployment(up, own, moved, elsewhere)


def base_of(server: RawServer) -> str:
    return server.url.removesuffix("/chat/completions")


def answers(connection: Connection) -> None:
    """`Hi`, in the dialect that was asked."""
    connection.take_request()
    is_gemini = b":streamGenerateContent" in connection.requests[-1]
    said = f"data: {json.dumps(_GEMINI)}\n\n".encode() if is_gemini else FIRST + _LAST
    connection.send(CLOSE_DELIMITED + said)


def test_a_body_has_no_place_for_an_address(deployment: Deployment) -> None:
    """422 names the field, and nobody is called."""
    calls = len(deployment.own.connections)
    for name in ("base_url", "api_base", "url", "endpoint", "provider", "headers", "api_key"):
        body = {"prompt": "Hi", "model": "own/m", name: base_of(deployment.elsewhere)}
        refused = requests.post(f"{deployment.up.url}/v1/jobs", json=body, timeout=5)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [name]
    assert len(deployment.own.connections) == calls
    assert deployment.elsewhere.connections == []


def test_what_extra_says_is_for_the_provider_alone(deployment: Deployment) -> None:
    """`extra` arrives in the body, at the configured address, with the configured key."""
    there = base_of(deployment.elsewhere)
    extra: dict[str, Any] = {
        "base_url": there,
        "url": there,
        "headers": {"Authorization": "Bearer other", "Host": "other"},
    }
    job_id = deployment.up.submit(prompt="Hi", model="own/m", extra=extra)
    assert wait_for_end(deployment.up, job_id) == "completed"
    path, body = deployment.asked()
    assert path == "/v1/chat/completions"
    assert {name: body[name] for name in extra} == extra
    head = deployment.own.requests[-1].partition(b"\r\n\r\n")[0]
    assert f"Bearer {KEY}".encode() in head
    assert b"other" not in head
    assert deployment.elsewhere.connections == []


@pytest.mark.parametrize(
    "name", ["{there}", "//{host}/x", "../../../{there}", "x@{host}/y", "..", "m?alt=json#", "a b\r\nHost: {host}"]
)
def test_a_models_name_leads_nowhere_else(deployment: Deployment, name: str) -> None:
    """Not even where the name is a part of the address, as with Gemini: it is one segment of the path."""
    there = base_of(deployment.elsewhere)
    model = name.format(there=there, host=there.removeprefix("http://"))
    job_id = deployment.up.submit(prompt="Hi", model=f"gem/{model}")
    assert wait_for_end(deployment.up, job_id) == "completed"
    path, _ = deployment.asked()
    assert path.startswith("/v1beta/models/")
    assert path.endswith(":streamGenerateContent?alt=sse")
    segment = path.removeprefix("/v1beta/models/").removesuffix(":streamGenerateContent?alt=sse")
    assert not set("/?# ") & set(segment)
    assert deployment.elsewhere.connections == []


def test_an_address_is_no_models_name(deployment: Deployment) -> None:
    """A name begins with that of a provider, or nobody serves it."""
    for model in (f"{deployment.elsewhere.url}/m", "//own/m", "OWN/m"):
        body = {"prompt": "Hi", "model": model}
        assert requests.post(f"{deployment.up.url}/v1/jobs", json=body, timeout=5).status_code == 422


def test_an_image_is_passed_on_and_not_fetched(deployment: Deployment) -> None:
    """An image's address may be one that only the provider can reach."""
    url = f"{base_of(deployment.elsewhere)}/a.png"
    image = {"type": "image_url", "image_url": {"url": url}}
    for model in ("own/m", "gem/m"):
        job_id = deployment.up.submit(messages=[{"role": "user", "content": [image]}], model=model)
        assert wait_for_end(deployment.up, job_id) == "completed"
        assert url in json.dumps(deployment.asked()[1])
    assert deployment.elsewhere.connections == []


def test_a_redirect_is_not_followed(deployment: Deployment) -> None:
    """The key is for the configured host; the job says what to do."""
    job_id = deployment.up.submit(prompt="Hi", model="moved/m")
    assert wait_for_end(deployment.up, job_id) == "failed"
    error = deployment.up.get(f"/v1/jobs/{job_id}")["error"]
    assert (error["type"], error["provider_status"]) == ("rejected", 307)
    assert "final address" in error["message"]
    assert len(deployment.moved.requests) == 1
    assert deployment.elsewhere.connections == []
