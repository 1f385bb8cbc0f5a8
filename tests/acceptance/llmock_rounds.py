"""Rounds with llmock: every dialect meets every fault, in real processes, and llmock says what it thinks of us.

All jobs of a round run at once in one worker: each has a model name of its own, by which llmock knows what to do to it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.running import Up, running_up
from tests.integration.llmock_server import Mock
from tests.valkey_server import ValkeyServer
from tokentail.redis.client import RedisClient

KEY = "sk-7f3Qx9bT2mLz8Wc4Kd6R"
PROMPT = "Count, and tell nobody of the plugh."
WORDS = [f"word{i} " for i in range(80)]
# Where llmock serves each dialect, and how many events come there before the first word.
DIALECTS = {
    "openai_chat": ("/v1", 1),
    "openai_responses": ("/v1", 4),
    "anthropic": ("/anthropic", 3),
    "gemini": ("/gemini", 0),
}
_CUT_AT = 12  # events


@dataclass(frozen=True)
class Case:
    """What llmock does to the calls of one job, and how long that job may take."""

    behavior: dict[str, Any] = field(default_factory=dict)
    timeouts: dict[str, float] = field(default_factory=dict)


def _breaking(kind: str, **options: Any) -> dict[str, Any]:
    return {"type": "stream_fault", "kind": kind, "after_chunks": _CUT_AT, **options}


def _failing(status: int, **options: Any) -> dict[str, Any]:
    return {"type": "fail", "status": status, **options}


def _slow(seconds: float) -> dict[str, Any]:
    return {"type": "slow_first_token", "seconds": seconds}


_ALWAYS = {"times": None}
PASSING = {
    "a whole answer": Case(),
    "the first token after 1 s": Case(_slow(1)),
    "silence for longer than `first_token_s`": Case(_slow(30), {"first_token_s": 1}),
    "`stall`: silence for longer than `idle_s`": Case(_breaking("stall", stall_seconds=30), {"idle_s": 1}),
    "`disconnect`, once": Case(_breaking("disconnect")),
    "`malformed`, once": Case(_breaking("malformed")),
    "429 with `Retry-After`, once": Case(_failing(429, retry_after=1.5)),
    "500, once": Case(_failing(500)),
    "529, once": Case(_failing(529)),
    "400": Case(_failing(400, **_ALWAYS)),
    "401": Case(_failing(401, **_ALWAYS)),
}
LASTING = {
    "`disconnect`, every time": Case(_breaking("disconnect", **_ALWAYS)),
    "`truncate`, every time": Case(_breaking("truncate", **_ALWAYS)),
    "`malformed`, every time": Case(_breaking("malformed", **_ALWAYS)),
    "429 with `Retry-After`, every time": Case(_failing(429, retry_after=1, **_ALWAYS)),
    "500, every time": Case(_failing(500, **_ALWAYS)),
    "529, every time": Case(_failing(529, **_ALWAYS)),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one job."""

    job: dict[str, Any]
    text: str
    generations: int
    calls: int


@dataclass(frozen=True)
class Round:
    """What became of one round's jobs, and llmock's verdict on us."""

    outcomes: dict[tuple[str, str], Outcome]  # by dialect and case
    verdict: dict[str, Any]


def whole_text() -> str:
    return "".join(WORDS)


def cut_text(dialect: str) -> str:
    """What came before a stream was broken."""
    return "".join(WORDS[: _CUT_AT - DIALECTS[dialect][1]])


def providers_file(folder: Path, mock: Mock, more: str = "") -> Path:
    """The dialects as named endpoints: `more` goes into each."""
    path = folder / "providers.toml"
    tables = (
        f'[providers.{name}]\ndialect = "{name}"\nbase_url = "{mock.url}{base}"\napi_key_env = "LLMOCK_KEY"\n{more}\n'
        for name, (base, _) in DIALECTS.items()
    )
    path.write_text("\n".join(tables))
    return path


class Table:
    """A running deployment and llmock, ready to play."""

    def __init__(self, mock: Mock, up: Up, client: RedisClient) -> None:
        self.mock = mock
        self.up = up
        self._client = client

    def play(self, cases: Mapping[str, Case]) -> Round:
        """Have every dialect meet every case."""
        requests.post(f"{self.mock.url}/_llmock/reset", timeout=5)
        models = {(dialect, what): f"{dialect}-{i}" for dialect in DIALECTS for i, what in enumerate(cases)}
        ids = {(dialect, what): self._begin(dialect, model, cases[what]) for (dialect, what), model in models.items()}
        for job_id in ids.values():
            self._wait_until_done(job_id)
        seen = requests.get(f"{self.mock.url}/_llmock/requests", timeout=10).json()["requests"]
        calls = Counter(request["model"] for request in seen)
        outcomes = {place: self._outcome(job_id, calls[models[place]]) for place, job_id in ids.items()}
        return Round(outcomes, requests.get(f"{self.mock.url}/_llmock/verdict", timeout=10).json())

    def _begin(self, dialect: str, model: str, case: Case) -> str:
        only = {"match": {"model": model}}
        self.mock.will(type="reply", text=whole_text(), times=None, **only)
        if case.behavior:
            self.mock.will(**case.behavior, **only)
        return self.up.submit(prompt=PROMPT, model=f"{dialect}/{model}", timeouts=case.timeouts)

    def _wait_until_done(self, job_id: str) -> None:
        cursor, is_done = "0", False
        while not is_done:
            body = self.up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor, wait=20)
            cursor, is_done = body["cursor"], body["done"]

    def _outcome(self, job_id: str, calls: int) -> Outcome:
        job = self.up.get(f"/v1/jobs/{job_id}")
        text = requests.get(f"{self.up.url}/v1/jobs/{job_id}/text", timeout=5).text
        # The log itself still has the generations that readers do not see any more.
        elements = map(json.loads, self._client.lrange(f"tt:{{{job_id}}}:log", 0, -1))
        starts = sum(isinstance(element, dict) and element["type"] == "start" for element in elements)
        return Outcome(job, text, starts, calls)


@contextmanager
def laid_table(folder: Path, mock: Mock) -> Iterator[Table]:
    """`tokentail up` with llmock's dialects as its providers, on a Valkey that can be looked into."""
    providers = str(providers_file(folder, mock))
    with (
        ValkeyServer() as valkey,
        running_up(folder, REDIS_URL=valkey.url, TOKENTAIL_PROVIDERS=providers, LLMOCK_KEY=KEY) as up,
        closing(valkey.connect()) as client,
    ):
        yield Table(mock, up, client)
