"""OpenAI's interfaces over both bindings: the same bytes, and every refusal in OpenAI's form."""

import json
from typing import Any

import pytest

from tests.contract.both_bindings import Answer, Bindings

JSON = {"Content-Type": "application/json"}
HI = [{"role": "user", "content": "Hi"}]
CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"


def error_of(answer: Answer) -> dict[str, Any]:
    """The error of an answer, which has all four members and nothing beside it."""
    status, headers, body = answer
    assert headers["content-type"] == "application/json", body
    (name,) = document = json.loads(body)
    error: dict[str, Any] = document[name]
    assert name == "error"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    return error


def test_reads_of_every_kind_of_job_are_the_same(both: Bindings) -> None:
    """Whichever interface made the job. Each answer with a job names it."""
    for name, job_id in both.jobs.items():
        is_ended = name in {"completed", "empty", "failed", "cancelled", "long"}
        paths = [f"{RESPONSES}/resp_<{name}>", f"{RESPONSES}/resp_<{name}>/input_items"]
        if is_ended or name == "deleted":
            paths += [f"{CHAT}/chatcmpl-<{name}>", f"{RESPONSES}/resp_<{name}>?stream=true"]
            paths += [f"{RESPONSES}/resp_<{name}>?stream=true&starting_after={n}" for n in (0, 1, 999999, "x", "-1")]
        for path in paths:
            answer = both.assert_same("GET", path)
            both.assert_same("HEAD", path)
            if name == "deleted":
                assert answer[0] == 404
                assert error_of(answer)["code"] == "not_found"
            elif "input_items" not in path and answer[0] != 400:
                assert answer[1]["x-request-id"] == answer[1]["tokentail-job"] == job_id
            assert "id:" not in answer[2].decode().splitlines()
            assert b"\nretry:" not in answer[2]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/openai/v1/embeddings", 404, "unknown_url"),
        ("POST", "/openai/v1/files", 404, "unknown_url"),
        ("GET", "/openai/", 404, "unknown_url"),
        ("GET", f"{RESPONSES}/resp_x", 404, "not_found"),
        ("GET", f"{RESPONSES}/<completed>", 404, "not_found"),
        ("GET", f"{CHAT}/chatcmpl-{'0' * 26}", 404, "not_found"),
        ("DELETE", f"{RESPONSES}/resp_{'0' * 26}", 404, "not_found"),
        ("POST", f"{RESPONSES}/resp_{'0' * 26}/cancel", 404, "not_found"),
        ("GET", "/openai/v1/models/nothing", 404, "model_not_found"),
        ("PUT", CHAT, 405, None),
        ("DELETE", f"{CHAT}/x", 405, None),
    ],
)
def test_what_is_not_there_is_told_in_openais_form(
    both: Bindings, method: str, path: str, status: int, code: str | None
) -> None:
    """Unknown paths, jobs and models are 404, other methods 405."""
    answer = both.assert_same(method, path, JSON if method == "POST" else {})
    assert (answer[0], error_of(answer)["code"]) == (status, code)


def test_form_ends_with_openais_paths(both: Bindings) -> None:
    """Our own paths keep our own form."""
    for path in ("/v1/nothing", "/openai", "/v1/jobs/x"):
        assert both.assert_same("GET", path)[1]["content-type"] == "application/problem+json"


def test_who_is_refused_is_told_in_openais_form(both: Bindings) -> None:
    """Keys, hosts and origins; what belongs to another key is not there."""
    for path in (f"{CHAT}/chatcmpl-<completed>", "/openai/v1/models", "/openai/v1/nothing"):
        answer = both.assert_same("GET", path, {"Authorization": "-"})
        assert (answer[0], error_of(answer)["code"]) == (401, "invalid_api_key")
    assert both.assert_same("GET", "/openai/v1/models", {"Host": ""})[0] == 403
    posted = both.assert_same("POST", CHAT, {**JSON, "Origin": "https://evil.example"}, b"{}")
    assert (posted[0], error_of(posted)["code"]) == (403, "forbidden")
    for path in (f"{CHAT}/chatcmpl-<completed>", f"{RESPONSES}/resp_<completed>", f"{RESPONSES}/resp_<deleted>"):
        assert both.assert_same("GET", path, {"Authorization": "Bearer key-two"})[0] == 404


def test_a_page_of_another_origin_can_use_openais_sdk(both: Bindings) -> None:
    """The preflight allows every header that the SDK sends, and the page can read what names the job."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    allowed = both.assert_same("OPTIONS", CHAT, asked)[1]["access-control-allow-headers"].lower().split(", ")
    stainless = (
        "arch async lang os package-version retry-count runtime runtime-version timeout poll-helper helper-method"
    )
    assert {f"x-stainless-{name}" for name in stainless.split()} <= set(allowed)
    assert {"openai-organization", "openai-project", "tokentail-on-disconnect", "authorization"} <= set(allowed)
    exposed = both.assert_same("GET", f"{RESPONSES}/resp_<completed>", asked)[1]["access-control-expose-headers"]
    assert {"x-request-id", "Tokentail-Job", "Retry-After"} <= set(exposed.split(", "))


WRONG: tuple[Any, ...] = (
    0,
    1.5,
    -1,
    True,
    False,
    "",
    "\x00",
    [],
    [1],
    [[]],
    [{}],
    {},
    {"type": []},
    {"type": {"a": 1}},
)
CHAT_FIELDS = (
    *("model", "messages", "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format"),
    *(
        "metadata",
        "reasoning_effort",
        "max_tokens",
        "max_completion_tokens",
        "stream_options",
        "store",
        "n",
        "logprobs",
    ),
    *("modalities", "user", "safety_identifier", "logit_bias", "audio", "functions", "nobody_knows"),
)
RESPONSES_FIELDS = (
    *("model", "input", "instructions", "previous_response_id", "max_output_tokens", "reasoning", "text", "tools"),
    *("tool_choice", "store", "include", "truncation", "metadata", "user", "conversation", "prompt", "top_logprobs"),
)


@pytest.mark.parametrize(
    ("path", "whole", "names"), [(CHAT, {"messages": HI}, CHAT_FIELDS), (RESPONSES, {"input": "Hi"}, RESPONSES_FIELDS)]
)
def test_a_field_of_the_wrong_type_is_refused_by_its_name(
    both: Bindings, path: str, whole: dict[str, Any], names: tuple[str, ...]
) -> None:
    """Each answer is 400 or 404 in OpenAI's form, and `param` is the field; nothing is a fault of the server."""
    for name in names:
        guard = (
            "top_p" if name != "top_p" else "temperature"
        )  # it is looked at last, and keeps others from making a job
        for wrong in WRONG:
            body = json.dumps({"model": "demo", guard: 99, **whole, name: wrong}).encode()
            answer = both.flask_and_plane("POST", path, JSON, body)
            assert answer[0] in {400, 404}, (name, wrong)
            assert str(error_of(answer)["param"]).startswith((name, guard)), (name, wrong, answer[2])


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"model": 5}', "application/json", 400),
        (b'{"model": "nothing-like-it"}', "application/json", 404),
        (b"\xff", "application/json", 400),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "application/json", 400),
        (b'{"a":' * 90000, "application/json", 400),
        (b'{"model":"demo","\\ud800":1}', "application/json", 400),
        (
            b'{"model":"demo","input":"\\ud800","messages":[{"role":"user","content":"\\ud800"}]}',
            "application/json",
            400,
        ),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    both: Bindings, path: str, body: bytes, content_type: str, status: int
) -> None:
    """Whatever is wrong with it, in OpenAI's form."""
    answer = both.assert_same("POST", path, {"Content-Type": content_type}, body)
    error_of(answer)
    assert answer[0] == status
