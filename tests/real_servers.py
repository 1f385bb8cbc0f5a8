"""Runs servers of others in a temporary folder, asks each through Tokentail, and prints a table of what came out.

Not a part of the tests: it installs the servers' packages, which takes minutes and the network. Names of servers as
arguments run those alone. A server that cannot be installed or started is named with the reason, and left out.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.running import Up, running_up, start
from tests.free_ports import free_ports
from tests.waiting import eventually
from worker.upstream.local_model import find_weights

_INSTALL_S = 900
_READY_S = 180
_END_S = 120
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
# What each case adds to the request.
_CASES: dict[str, dict[str, Any]] = {
    "text": {"prompt": "hello", "max_tokens": 24, "temperature": 0},
    "one token": {"prompt": "hello", "max_tokens": 1},
    "tool": {"prompt": "Use the tool: how is the weather in Paris?", "max_tokens": 48, "tools": [_TOOL]},
    "cancelled": {"prompt": "Write a hundred sentences that begin with hello.", "max_tokens": 1000},
}
_CHAT = {"openai_chat": "/v1", "openai_completions": "/v1"}
_CHAT_RESPONSES_MESSAGES = {**_CHAT, "openai_responses": "/v1", "anthropic": ""}


@dataclass(frozen=True)
class Server:
    """A server: its packages, how it is started in a folder on a port, and where it serves each dialect.

    `before` names the server to which it passes its calls on, at the second port.
    """

    python: tuple[str, ...]
    npm: str
    argv: Callable[[Path, int, int], list[str]]
    dialects: dict[str, str]
    before: str = ""


def _llama_cpp_python(folder: Path, port: int, _: int) -> list[str]:
    weights = str(find_weights())
    return [str(folder / "venv/bin/python"), "-m", "llama_cpp.server", "--model", weights, "--port", str(port)]


def _local_model(_: Path, port: int, __: int) -> list[str]:
    return [sys.executable, "-P", "-m", "worker.upstream.local_model", "--port", str(port)]


def _litellm(folder: Path, port: int, behind: int) -> list[str]:
    settings = {"model": "openai/m", "api_base": f"http://127.0.0.1:{behind}/v1", "api_key": "none"}
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": [{"model_name": "m", "litellm_params": settings}]}))  # JSON is YAML
    return [str(folder / "venv/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]


def _aimock(folder: Path, port: int, _: int) -> list[str]:
    call = {"toolCalls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]}
    text = {"content": "One two three four five.", "reasoning": "Counting."}
    told = [
        {"match": {"userMessage": "weather"}, "response": call},
        {"match": {"userMessage": "hello"}, "response": text},
    ]
    fixtures = folder / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": told}))
    return [str(folder / "node_modules/.bin/llmock"), "--port", str(port), "--fixtures", str(fixtures)]


# What its extra `proxy` names, but for two packages that no index has.
_LITELLM_NEEDS = (
    *("fastapi", "uvicorn", "orjson", "apscheduler", "cryptography", "PyJWT", "python-multipart", "backoff"),
    *("pyyaml", "gunicorn", "websockets"),
)
SERVERS = {
    "xllamacpp": Server((), "", _local_model, _CHAT_RESPONSES_MESSAGES),
    "litellm 1.110.2": Server(
        ("litellm==1.110.2", *_LITELLM_NEEDS), "", _litellm, {**_CHAT_RESPONSES_MESSAGES, "gemini": ""}, "xllamacpp"
    ),
    "aimock 1.43.0": Server(
        (), "@copilotkit/aimock@1.43.0", _aimock, {**_CHAT_RESPONSES_MESSAGES, "gemini": "", "ollama": ""}
    ),
    "llama-cpp-python 0.3.36": Server(("llama-cpp-python[server]==0.3.36",), "", _llama_cpp_python, _CHAT),
}


def _install(server: Server, folder: Path) -> None:
    def run(*argv: str) -> None:
        subprocess.run(argv, check=True, cwd=folder, timeout=_INSTALL_S, capture_output=True)

    if server.python:
        run(sys.executable, "-m", "venv", "venv")
        run("venv/bin/pip", "install", "--quiet", *server.python)
    if server.npm:
        run("npm", "install", "--silent", "--no-audit", "--no-fund", server.npm)


@contextmanager
def _started(argv: list[str], port: int, folder: Path) -> Iterator[None]:
    def is_ready() -> bool:
        if process.poll() is not None:
            raise OSError(f"the server ended: {path.read_text(errors='replace')[-200:].strip()}")
        try:
            return requests.get(f"http://127.0.0.1:{port}/v1/models", timeout=2).status_code < 500
        except requests.RequestException:
            return False

    path = folder / f"{port}.log"
    with path.open("w") as log:
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with start(argv, settings, stdout=log, stderr=log) as process:
            try:
                eventually(is_ready, within_s=_READY_S, what="the server answers")
                yield
            finally:
                process.kill()


def _case(up: Up, model: str, case: str) -> str:
    """One row of the table: what came of one request."""
    answer = requests.post(f"{up.url}/v1/jobs", json={"model": model, **_CASES[case]}, timeout=10)
    if answer.status_code != 202:
        return f"| refused: {answer.status_code} | | | | |"
    path = f"/v1/jobs/{answer.json()['id']}"
    if case == "cancelled":
        up.get(f"{path}/tokens", cursor="0", wait=25)
        requests.post(f"{up.url}{path}/cancel", timeout=10)
    eventually(lambda: up.get(path)["status"] not in {"queued", "running"}, within_s=_END_S, what="the job has ended")
    job, events = up.get(path), up.get(f"{path}/events")["events"]
    usage, error = job["usage"] or {}, job["error"] or {}
    kinds = sorted({each["type"] for each in events if isinstance(each, dict)} - {"start", "end"})
    counted = usage.get("output_tokens")
    tokens = f"about {usage['output_tokens_estimated']}" if "output_tokens_estimated" in usage else str(counted)
    status = f"{job['status']}: {error['type']}" if error else job["status"]
    finish = f"{job['finish_reason']} ({job['provider_reason']})"
    return f"| {status} | {finish} | {tokens} | {job['token_count']} | {' '.join(kinds)} |"


def _rows(name: str, folder: Path) -> Iterator[str]:
    server = SERVERS[name]
    _install(server, folder)
    port, behind = free_ports(2)
    tables = (
        f'[providers.{dialect}]\ndialect = "{dialect}"\nbase_url = "http://127.0.0.1:{port}{base}"\nmodels = ["m"]\n'
        for dialect, base in server.dialects.items()
    )
    providers = folder / "providers.toml"
    providers.write_text("".join(tables))
    others = _started(SERVERS[server.before].argv(folder, behind, 0), behind, folder) if server.before else _nothing()
    with (
        others,
        _started(server.argv(folder, port, behind), port, folder),
        running_up(folder, TOKENTAIL_PROVIDERS=str(providers), TOKENTAIL_RETRIES="0") as up,
    ):
        for dialect in server.dialects:
            for case in _CASES:
                yield f"| {name} | {dialect} | {case} {_case(up, f'{dialect}/m', case)}"


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def main() -> int:
    """Print the table, a row as soon as it is known; 1 if a server could not be asked."""
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    is_short = False
    print(
        "| server | dialect | case | job | finish reason (the provider's) | output tokens | pieces of text | events |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in [each for each in SERVERS if each.split()[0] in sys.argv[1:] or len(sys.argv) == 1]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                for row in _rows(name, Path(folder)):
                    print(row, flush=True)
            except (OSError, subprocess.SubprocessError, requests.RequestException, AssertionError) as error:
                is_short = True
                print(f"{name} could not be asked: {type(error).__name__}: {str(error)[:300]}", flush=True)
    return 1 if is_short else 0


if __name__ == "__main__":
    sys.exit(main())
