"""The real model in every dialect that its server has: llama.cpp's own, as `tokentail up` starts it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.acceptance.running import Up, running_up, start, wait_for_end
from tests.free_ports import free_ports
from tests.waiting import eventually

pytestmark = pytest.mark.model

MODEL = "smollm2-135m"
MAX_TOKENS = 24
# What becomes of an answer that max_tokens cut, and the server's word for it: in llama.cpp's Responses one for all.
DIALECTS = {
    "openai_chat": ("length", "length"),
    "openai_completions": ("length", "length"),
    "openai_responses": ("length", "completed"),
    "anthropic": ("length", "max_tokens"),
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `tokentail up` that knows one local server under the name of each dialect."""
    folder = tmp_path_factory.mktemp("local")
    (port,) = free_ports(1)
    providers = folder / "providers.toml"
    providers.write_text(
        "".join(
            f'[providers.{dialect}]\ndialect = "{dialect}"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
            f'models = ["{MODEL}"]\n'
            for dialect in DIALECTS
        )
    )
    argv = [sys.executable, "-P", "-m", "worker.upstream.local_model", "--port", str(port)]
    with start(argv, {}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with running_up(folder, TOKENTAIL_PROVIDERS=str(providers)) as running:
                eventually(lambda: is_ready(port), within_s=60, what="the model is loaded")
                yield running
        finally:
            server.terminate()


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_real_model_answers_in_its_servers_dialects(up: Up, dialect: str) -> None:
    """Text token by token, the reason and the server's own count."""
    job_id = up.submit(
        prompt="The capital of France is", model=f"{dialect}/{MODEL}", max_tokens=MAX_TOKENS, temperature=0
    )
    assert wait_for_end(up, job_id, within_s=60) == "completed"
    job = up.get(f"/v1/jobs/{job_id}")
    assert (job["finish_reason"], job["provider_reason"]) == DIALECTS[dialect]
    assert job["usage"]["output_tokens"] == MAX_TOKENS
    assert job["usage"]["input_tokens"] >= 5
    assert 10 <= job["token_count"] <= MAX_TOKENS
    events = up.get(f"/v1/jobs/{job_id}/events")["events"]
    text = "".join(event for event in events if isinstance(event, str))
    assert text == requests.get(f"{up.url}/v1/jobs/{job_id}/text", timeout=5).text
    assert len(text.split()) >= 5


def test_a_prompt_goes_to_the_bare_model_without_a_template(up: Up) -> None:
    """Legacy completions count the prompt's own tokens; chat adds those of its template."""
    counts = {}
    for dialect in ("openai_chat", "openai_completions"):
        job_id = up.submit(prompt="One two three", model=f"{dialect}/{MODEL}", max_tokens=1)
        assert wait_for_end(up, job_id, within_s=60) == "completed"
        counts[dialect] = up.get(f"/v1/jobs/{job_id}")["usage"]["input_tokens"]
    assert counts["openai_completions"] + 10 < counts["openai_chat"]
