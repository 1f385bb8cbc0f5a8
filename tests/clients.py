"""Clients that speak to OpenAI, unmodified, against a running `tokentail up`: `make clients` prints what works.

Each has a folder of its own with its own versions, because they ask for different ones of the SDK. Exits with 1 if
something does not work. It needs the registries of PyPI and npm, so continuous integration runs the SDKs alone.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.running import Up, running_up
from tests.others import FOLDERS, node_argv, python_with, with_npm_packages
from tests.tools_upstream import FAILING, PERSON, REASONING, ToolsUpstream, providers_of, tools_upstream

PROGRAMS = Path(__file__).parent / "client_programs"
_WITHIN_S = 600
_COLUMNS = ("whole", "stream", "tools", "reasoning", "object", "error", "job")


@dataclass(frozen=True)
class Client:
    """A program, the packages that it needs, and the ways in which it can ask."""

    program: str
    packages: tuple[str, ...]
    ways: tuple[str, ...] = ("chat", "responses")


AI_SDK = ("ai@7.0.173", "@ai-sdk/openai@4.0.118", "@ai-sdk/openai-compatible@3.0.92", "zod@4")
CLIENTS = (
    Client("langchain.py", ("langchain-openai==1.7.4",)),
    Client("pydantic_ai_agent.py", ("pydantic-ai-slim[openai]==2.68.0",)),
    Client("llama_index_llm.py", ("llama-index-llms-openai==0.8.3",)),
    Client("instructor_models.py", ("instructor==1.17.0",)),
    Client("litellm_calls.py", ("litellm==1.110.2",)),
    Client("llm_command.py", ("llm==0.36",), ("chat",)),
    Client("ai_sdk.mjs", AI_SDK, ("responses", "chat", "compatible")),
)


def main() -> int:
    """Run every client in every way; the number of faults is shown in the table."""
    print(f"{'client':34} {'way':10} " + " ".join(f"{column:9}" for column in _COLUMNS))
    faults = 0
    with tempfile.TemporaryDirectory() as folder, tools_upstream() as upstream:
        providers = Path(folder, "providers.toml")
        providers.write_text(providers_of(upstream))
        with running_up(Path(folder), TOKENTAIL_PROVIDERS=str(providers)) as up:
            for client in CLIENTS:
                argv = _installed(client)
                for way in client.ways:
                    faults += _report(client, way, _verdicts(up, upstream, [*argv, up.url, way]))
    return 1 if faults else 0


def _verdicts(up: Up, upstream: ToolsUpstream, argv: list[str]) -> dict[str, str]:
    """What the client read, judged: `yes`, `-` for what it cannot show, or what is wrong."""
    before = len(upstream.requests)
    ran = subprocess.run(argv, cwd=FOLDERS, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    if ran.returncode:
        return {"whole": ran.stderr[-2000:]}
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    failed = [request for request in upstream.requests[before:] if request["model"] in FAILING]
    job_id = str(told.get("job")).rpartition("-")[2].rpartition("_")[2]
    found = requests.get(f"{up.url}/v1/jobs/{job_id}", timeout=10).status_code
    told["job"] = {200: "kept", 410: "deleted"}.get(found, told.get("job"))  # deleted: the client sent `store: false`
    wanted = {
        "whole": told.get("whole") == "You said: Hi",
        "stream": told.get("stream") == "You said: Hi",
        "tools": "18 degrees in Paris" in str(told.get("tools")),
        "reasoning": told.get("reasoning") == "".join(REASONING),
        "object": (told.get("object") or {}).items() <= json.loads(PERSON).items(),
        "error": told.get("error") == 429 and bool(failed),
        "job": told["job"] in {"kept", "deleted"},
    }
    return {name: "yes" if is_right else repr(told[name]) for name, is_right in wanted.items() if told.get(name)}


def _report(client: Client, way: str, verdicts: dict[str, str]) -> bool:
    words = [f"{verdicts.get(column, '-'):9}" for column in _COLUMNS]
    print(f"{client.packages[0]:34} {way:10} {' '.join(words)}", flush=True)
    return any(verdict != "yes" for verdict in verdicts.values())


def _installed(client: Client) -> list[str]:
    """The command of the client's program, in a folder that has its packages."""
    name = Path(client.program).stem
    if not client.program.endswith(".mjs"):
        return [str(python_with(name, *client.packages)), str(PROGRAMS / client.program)]
    program = with_npm_packages(name, *client.packages) / client.program
    program.write_bytes((PROGRAMS / client.program).read_bytes())
    return node_argv(program)


if __name__ == "__main__":
    sys.exit(main())
