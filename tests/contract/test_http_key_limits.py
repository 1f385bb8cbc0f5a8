"""Limits, models and usage of keys over HTTP, in our form and in OpenAI's."""

import datetime
from pathlib import Path

import pytest

from tests.contract.test_http_sessions import with_no_jar
from tests.http_harness import HttpHarness, MakeHarness, assert_problem, json_of
from tests.keys_file import bearer, write_keys
from tests.scripted_worker import DEMO
from tokentail.jobs.models import ServedModel
from tokentail.jobs.spending import Spent

SMALL, LARGE = (ServedModel(f"openai/{name}", "openai", "openai_chat") for name in ("small", "large"))
CHAT, RESPONSES = "/openai/v1/chat/completions", "/openai/v1/responses"
MESSAGES = [{"role": "user", "content": "why"}]


@pytest.fixture
def keyed(make_harness: MakeHarness, tmp_path: Path) -> HttpHarness:
    """A harness with keys of several limits."""
    path = write_keys(
        tmp_path / "keys.toml",
        web={},
        slow={"requests_per_minute": 2},
        poor={"tokens_per_day": 10},
        few={"jobs": 1},
        app={"user_jobs": 1},
        narrow={"models": ["openai/small", "other/*"]},
        op={"role": "operator"},
    )
    harness = with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=path))
    harness.worker.beat(LARGE, SMALL, DEMO)
    harness.backend.observer.observe()
    return harness


def test_limits_are_told_with_every_submission(keyed: HttpHarness) -> None:
    """In the headers' names and form of OpenAI's; a key without limits has none."""
    first = keyed.submit({"prompt": "why", "model": "demo"}, **bearer("slow"))
    assert first.status_code == 202
    told = {name.lower(): value for name, value in first.headers.items() if name.lower().startswith("x-ratelimit")}
    assert told == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1m0s",
    }
    poor = keyed.submit({"prompt": "why", "model": "demo"}, **bearer("poor"))
    assert (poor.headers["x-ratelimit-limit-tokens"], poor.headers["x-ratelimit-remaining-tokens"]) == ("10", "10")
    plain = keyed.submit({"prompt": "why", "model": "demo"}, **bearer("web"))
    assert not any(name.lower().startswith("x-ratelimit") for name in dict(plain.headers))


def test_too_many_requests_are_429_with_the_time_that_it_takes(keyed: HttpHarness) -> None:
    """The problem is of a type of its own."""
    for _ in range(2):
        assert keyed.submit({"prompt": "why", "model": "demo"}, **bearer("slow")).status_code == 202
    refused = keyed.submit({"prompt": "why", "model": "demo"}, **bearer("slow"))
    assert assert_problem(refused, 429)["type"] == "urn:tokentail:problem:limit-reached"
    assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(json_of(keyed.get("/v1/jobs", headers=bearer("slow")))["jobs"]) == 2


@pytest.mark.parametrize(("path", "body"), [(CHAT, {"messages": MESSAGES}), (RESPONSES, {"input": "why"})])
def test_the_interfaces_of_openai_tell_limits_in_their_form(
    keyed: HttpHarness, path: str, body: dict[str, object]
) -> None:
    """A refusal for the day is not repeated by SDKs, which would do it at once."""
    for _ in range(2):
        keyed.submit({"prompt": "why", "model": "demo"}, **bearer("slow"))
    refused = keyed.post(path, json={"model": "demo", **body}, headers=bearer("slow"))
    assert (refused.status_code, json_of(refused)["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert "x-should-retry" not in refused.headers
    spend(keyed, "poor", 10)
    refused = keyed.post(path, json={"model": "demo", **body}, headers=bearer("poor"))
    assert (refused.status_code, json_of(refused)["error"]["code"]) == (429, "rate_limit_exceeded")
    left = datetime.datetime.now(datetime.UTC)
    until_midnight_s = 86400 - (left.hour * 3600 + left.minute * 60 + left.second)
    assert abs(int(refused.headers["Retry-After"]) - until_midnight_s) < 60
    if until_midnight_s > 120:
        assert refused.headers["x-should-retry"] == "false"


def spend(keyed: HttpHarness, name: str, tokens: int) -> None:
    """Have a job of this key end with so many tokens."""
    answer = keyed.submit({"prompt": "why", "model": "demo"}, **bearer(name))
    assert answer.status_code == 202, answer.text
    job_id = json_of(answer)["id"]
    keyed.backend.queue.discard(job_id, 1)
    keyed.worker.answer(job_id, "a")
    keyed.backend.admission.leave(name, job_id, Spent("completed", 0, tokens, tokens))


def test_open_jobs_of_a_key_are_limited(keyed: HttpHarness) -> None:
    """Beyond the limit: 429, as for too many jobs of the deployment."""
    assert keyed.submit({"prompt": "why", "model": "demo"}, **bearer("few")).status_code == 202
    refused = keyed.submit({"prompt": "why", "model": "demo"}, **bearer("few"))
    assert assert_problem(refused, 429)["type"] == "urn:tokentail:problem:too-many-jobs"


def test_open_jobs_of_each_user_are_limited_in_both_forms(keyed: HttpHarness) -> None:
    """The user is the field of a submission, or that of an OpenAI SDK; a job without a user is not bound."""
    asked = {"prompt": "why", "model": "demo"}
    for body in ({**asked, "user": "ann"}, {**asked, "user": "bob"}, asked, asked):
        assert keyed.submit(body, **bearer("app")).status_code == 202
    refused = keyed.submit({**asked, "user": "ann"}, **bearer("app"))
    problem = assert_problem(refused, 429)
    assert problem["type"] == "urn:tokentail:problem:too-many-jobs"
    assert "1 jobs of this user" in problem["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    for path, said in ((CHAT, {"messages": MESSAGES}), (RESPONSES, {"input": "why"})):
        refused = keyed.post(path, json={"model": "demo", "safety_identifier": "ann", **said}, headers=bearer("app"))
        assert (refused.status_code, json_of(refused)["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["Retry-After"]) >= 1


def test_a_session_of_one_user_has_the_users_limit(keyed: HttpHarness) -> None:
    """The user's own program and the application submit within one limit."""
    opened = keyed.post("/v1/session", json={"user": "ann"}, headers=bearer("app"))
    own = {"Authorization": f"Bearer {json_of(opened)['token']}"}
    assert keyed.submit({"prompt": "why", "model": "demo"}, **own).status_code == 202
    assert_problem(keyed.submit({"prompt": "why", "model": "demo"}, **own), 429)
    assert_problem(keyed.submit({"prompt": "why", "model": "demo", "user": "ann"}, **bearer("app")), 429)


def test_a_key_sees_and_uses_its_models_alone(keyed: HttpHarness) -> None:
    """Others are 403, are in no list, and no refusal names one."""
    listed = json_of(keyed.get("/v1/models", headers=bearer("narrow")))
    assert ([model["id"] for model in listed["data"]], listed["default"]) == (["openai/small"], "openai/small")
    assert json_of(keyed.get("/v1/models", headers=bearer("web")))["default"] == "openai/large"
    theirs = json_of(keyed.get("/openai/v1/models", headers=bearer("narrow")))
    assert [model["id"] for model in theirs["data"]] == ["openai/small"]
    for model in ("openai/large", "demo", "demo?tokens=3"):
        refused = keyed.submit({"prompt": "why", "model": model}, **bearer("narrow"))
        assert assert_problem(refused, 403)["type"] == "urn:tokentail:problem:model-forbidden"
        assert "openai/small, other/*" in refused.text
    unknown = keyed.submit({"prompt": "why", "model": "openai/smal"}, **bearer("narrow"))
    assert "large" not in assert_problem(unknown, 422)["detail"]
    made = keyed.submit({"prompt": "why"}, **bearer("narrow"))
    assert (made.status_code, json_of(made)["model"]) == (202, "openai/small"), "it names none"


LOCAL, OTHER_LOCAL = (ServedModel(f"local/{name}", "local", "openai_chat") for name in ("tiny", "other"))
ANY_OPENAI = ServedModel("openai/*", "openai", "openai_chat")


@pytest.mark.parametrize(
    ("models", "default", "asked", "full", "listed"),
    [
        (["local"], "demo", ["local", "local/tiny", None], "local/tiny", ["local/tiny"]),
        (["local"], "local", ["local", "local/tiny", None], "local/tiny", ["local/tiny"]),
        (["local/tiny"], "local", ["local", "local/tiny", None], "local/tiny", ["local/tiny"]),
        (["tiny"], "local/tiny", ["local", "local/tiny", None], "local/tiny", ["local/tiny"]),
        (["local/*"], "local", ["local", "local/tiny", None], "local/tiny", ["local/tiny", "local/other"]),
        (["local/other"], "local", ["local/other", None], "local/other", ["local/other"]),
        (["demo", "local"], "local", ["local", None], "local/tiny", ["local/tiny", "demo"]),
        (["openai/gpt-5*"], "local", ["openai/gpt-5-mini"], "openai/gpt-5-mini", ["openai/gpt-5*"]),
    ],
)
def test_names_in_a_keys_file_are_those_that_clients_ask_for(
    make_harness: MakeHarness,
    tmp_path: Path,
    models: list[str],
    default: str,
    asked: list[str | None],
    full: str,
    listed: list[str],
) -> None:
    """A provider's bare name, the full name, the model's own name, a beginning, and the default, in both interfaces."""
    path = write_keys(tmp_path / "keys.toml", web={"models": models})
    harness = with_no_jar(make_harness(TOKENTAIL_KEYS_FILE=path, TOKENTAIL_MODEL=default))
    harness.worker.beat(LOCAL, OTHER_LOCAL, ANY_OPENAI, DEMO)
    harness.backend.observer.observe()
    headers = bearer("web")
    own = json_of(harness.get("/v1/models", headers=headers))
    assert [model["id"] for model in own["data"]] == listed
    assert own["default"] == (listed[0] if None not in asked else full)
    theirs = json_of(harness.get("/openai/v1/models", headers=headers))
    assert [model["id"] for model in theirs["data"]] == [name for name in listed if not name.endswith("*")]
    for name in asked:
        made = harness.submit({"prompt": "why", **({"model": name} if name else {})}, **headers)
        assert (made.status_code, json_of(made).get("model")) == (202, full), made.text
        if name:
            assert json_of(harness.get(f"/openai/v1/models/{name}", headers=headers))["id"] == full
    for name in {"local/other", "demo", "openai/gpt-4"}.difference(listed):
        refused = harness.submit({"prompt": "why", "model": name}, **headers)
        assert assert_problem(refused, 403)["type"] == "urn:tokentail:problem:model-forbidden"


@pytest.mark.parametrize("name", ["openai/large", "large", "demo"])
def test_a_forbidden_model_is_refused_in_openais_form(keyed: HttpHarness, name: str) -> None:
    """By whichever of its names it was asked for."""
    refused = keyed.post(CHAT, json={"model": name, "messages": MESSAGES}, headers=bearer("narrow"))
    error = json_of(refused)["error"]
    assert (refused.status_code, error["code"], error["param"]) == (403, "model_not_found", "model")
    assert keyed.get(f"/openai/v1/models/{name}", headers=bearer("narrow")).status_code == 404
    assert keyed.get(f"/openai/v1/models/{name}", headers=bearer("web")).status_code == 200


def test_usage_is_told_by_day_and_owner(keyed: HttpHarness) -> None:
    """A client sees its own, an operator everybody's, or one owner's."""
    spend(keyed, "web", 7)
    spend(keyed, "poor", 3)
    today = datetime.datetime.now(datetime.UTC).date()
    own = json_of(keyed.get("/v1/usage", headers=bearer("web")))
    (row,) = own["usage"]
    assert (row["owner"], row["requests"], row["completed"], row["output_tokens"]) == ("web", 1, 1, 7)
    assert row["estimated_tokens"] == 7
    assert own["until"] == row["day"] == str(today)
    assert own["since"] == str(today - datetime.timedelta(29))
    assert_problem(keyed.get("/v1/usage?owner=poor", headers=bearer("web")), 403)
    all_of_them = json_of(keyed.get(f"/v1/usage?since={today}&until={today}", headers=bearer("op")))["usage"]
    assert [each["owner"] for each in all_of_them] == ["poor", "web"]
    one = json_of(keyed.get("/v1/usage?owner=poor", headers=bearer("op")))["usage"]
    assert [each["owner"] for each in one] == ["poor"]
    assert json_of(keyed.get("/v1/usage?until=2020-01-01", headers=bearer("op")))["usage"] == []
    overview = json_of(keyed.get("/v1/overview", headers=bearer("op")))
    assert [each["owner"] for each in overview["usage_today"]] == ["poor", "web"]
    assert "usage_today" not in json_of(keyed.get("/v1/overview", headers=bearer("web")))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2026-13-01", "since"),
        ("until=today", "until"),
        ("since=2026-02-30", "since"),
        ("since=2026-02-02&until=2026-02-01", "since"),
        ("since=2020-02-02&until=2026-02-01", "since"),
        ("owner=%00", "owner"),
    ],
)
def test_what_is_wrong_with_a_query_for_usage_is_named(keyed: HttpHarness, query: str, field: str) -> None:
    """Days that there are not, and more than a year at once."""
    document = assert_problem(keyed.get(f"/v1/usage?{query}", headers=bearer("op")), 422)
    assert [fault["field"] for fault in document["errors"]] == [field]


def test_a_stopped_and_a_deleted_answer_cost_what_was_shown(keyed: HttpHarness) -> None:
    """The size of what readers saw stands for what the provider did not count."""
    for ends in ("cancel", "delete"):
        job_id = json_of(keyed.submit({"prompt": "why", "model": "demo"}, **bearer("web")))["id"]
        keyed.backend.queue.discard(job_id, 1)
        writer = keyed.worker.take(job_id)
        keyed.worker.say(writer, "eight le", "tters", "!")
        if ends == "cancel":
            keyed.post(f"/v1/jobs/{job_id}/cancel", headers=bearer("web"))
        else:
            keyed.client.delete(f"/v1/jobs/{job_id}", headers=bearer("web"))
    (row,) = json_of(keyed.get("/v1/usage", headers=bearer("web")))["usage"]
    assert (row["cancelled"], row["output_tokens"], row["estimated_tokens"]) == (2, 8, 8)


def test_a_limit_costs_a_submission_no_further_round_trip(keyed: HttpHarness, request: pytest.FixtureRequest) -> None:
    """Everything is counted in the script that counts the job in."""
    if "valkey" not in request.node.name:
        return
    client = keyed.backend.buffer_client

    def scripts_of(name: str) -> int:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert keyed.submit({"prompt": "why", "model": "demo"}, **bearer(name)).status_code == 202
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"] - before)

    keyed.submit({"prompt": "why", "model": "demo"}, **bearer("web"))  # loads the scripts
    assert scripts_of("slow") == scripts_of("poor") == scripts_of("app") == scripts_of("web")
