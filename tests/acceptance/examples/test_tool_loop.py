"""tool_loop.py: a real tool answers the model's calls, and the next turn has what the last one needs back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.examples.conftest import EXAMPLES
from tests.acceptance.llmock_rounds import DIALECTS
from tests.acceptance.running import Up, environment, running_up
from tests.integration.llmock_server import Mock, running_llmock


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with running_llmock() as running:
        yield running


@pytest.fixture(scope="module")
def served(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Every dialect that llmock speaks."""
    folder = tmp_path_factory.mktemp("served")
    tables = (
        f'[providers.{dialect}]\ndialect = "{dialect}"\nbase_url = "{mock.url}{path}"\n'
        for dialect, (path, _) in DIALECTS.items()
    )
    (folder / "providers.toml").write_text("\n".join(tables))
    with running_up(folder, "--model", "demo", TOKENTAIL_PROVIDERS=str(folder / "providers.toml")) as running:
        yield running


def run_loop(url: str, model: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "notes.txt").write_text("twelve bytes")
    settings = {"TOKENTAIL_URL": url, "MODEL": model}
    argv = [sys.executable, str(EXAMPLES / "tool_loop.py"), "Which files are here?"]
    return subprocess.run(
        argv, env=environment(**settings), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_model_uses_the_tool_and_answers(mock: Mock, served: Up, tmp_path: Path, dialect: str) -> None:
    """Two calls in two turns, then the answer; each next request has the results so far."""
    call = {"type": "reply", "tool_calls": [{"name": "list_files", "arguments": {"folder": "."}}]}
    outside = {"type": "reply", "tool_calls": [{"name": "list_files", "arguments": {"folder": ".."}}]}
    behaviors: list[dict[str, Any]] = [call, outside, {"type": "reply", "text": "One file: notes.txt"}]
    requests.delete(f"{mock.url}/_llmock/requests", timeout=5)
    assert requests.post(f"{mock.url}/_llmock/scenario", json={"behaviors": behaviors}, timeout=5).ok
    ended = run_loop(served.url, f"{dialect}/m", tmp_path)
    assert ended.stdout == "One file: notes.txt\n", ended.stderr
    made = [line.partition("(") for line in ended.stderr.splitlines()]
    assert [name for name, _, _ in made] == ["list_files", "list_files"]
    assert [json.loads(arguments.removesuffix(")")) for _, _, arguments in made] == [{"folder": "."}, {"folder": ".."}]
    sent = json.dumps(requests.get(f"{mock.url}/_llmock/requests", timeout=5).json())
    assert "notes.txt" in sent, "the tool's result went to the model"
    assert "there is no such folder here" in sent


@pytest.mark.model
def test_the_loop_runs_with_the_local_model(tmp_path: Path) -> None:
    """The local model is too small to call a tool; the loop ends with its answer."""
    for name in ("up", "work"):
        (tmp_path / name).mkdir()
    with running_up(tmp_path / "up", "--model", "local") as up:
        ended = run_loop(up.url, "local", tmp_path / "work")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
