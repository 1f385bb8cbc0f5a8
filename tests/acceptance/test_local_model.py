"""The real model on this machine's CPU, end to end. A missing package fails here: without it nothing is proved."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.running import Up, running_up, wait_for_end

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `tokentail up` as a newcomer starts it: nothing is configured."""
    with running_up(tmp_path_factory.mktemp("up")) as running:
        yield running


def test_the_local_model_can_be_asked_for_by_its_short_name(tmp_path: Path) -> None:
    """`--model local` beside another provider, and `local` in a request, mean the model by its full name."""
    with running_up(tmp_path, "--model", "local", OPENAI_API_KEY="sk-never-used") as up:
        assert up.get("/v1/models")["default"] == "local/smollm2-135m"
        named, unnamed = (
            up.submit(prompt="Say hello.", max_tokens=2, model="local"),
            up.submit(prompt="p", max_tokens=2),
        )
        for job_id in (named, unnamed):
            assert up.get(f"/v1/jobs/{job_id}")["model"] == "local/smollm2-135m"
            assert wait_for_end(up, job_id) == "completed"


def test_the_local_model_is_the_default_when_nothing_is_configured(up: Up) -> None:
    """A newcomer gets a real model's answer without a key."""
    models = [model["id"] for model in up.get("/v1/models")["data"]]
    assert models[0] == "local/smollm2-135m"
    assert set(up.children()) == {"valkey", "local_model", "worker", "app"}


def test_words_arrive_as_the_model_makes_them(up: Up) -> None:
    """Many polls with tokens, not one; their join is the text, and the usage is the server's own count."""
    with up.start("ask", "Why is the sky blue?", "--max-tokens", "40", "--temperature", "0", "--json") as command:
        assert command.stdout is not None
        lines = [(time.monotonic(), json.loads(line)) for line in command.stdout]
        assert command.wait(30) == 0
    with_tokens = [(moment, body) for moment, body in lines if body["tokens"]]
    assert len(with_tokens) >= 10
    assert with_tokens[-1][0] - with_tokens[0][0] > 0.2
    last = lines[-1][1]
    assert last["done"]
    assert 10 <= last["usage"]["output_tokens"] <= 40
    assert last["usage"]["input_tokens"] > 0
    text = requests.get(f"{up.url}/v1/jobs/{last['job_id']}/text", timeout=5).text
    assert "".join(token for _, body in lines for token in body["tokens"]) == text
    assert len(text.split()) >= 10
    assert up.get(f"/v1/jobs/{last['job_id']}")["usage"] == last["usage"]


def test_ask_prints_what_a_person_reads(up: Up) -> None:
    """`ask` without --json prints the text alone, with a line end behind it."""
    asked = up.run("ask", "Say hello.", "--max-tokens", "8", "--temperature", "0")
    assert asked.returncode == 0
    newest = up.get("/v1/jobs")["jobs"][0]
    text = requests.get(f"{up.url}/v1/jobs/{newest['id']}/text", timeout=5).text
    assert text
    assert asked.stdout == text.removesuffix("\n") + "\n"
