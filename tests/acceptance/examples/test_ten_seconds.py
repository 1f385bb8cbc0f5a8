"""ten_seconds.py: every call ends in time, and the last has it all."""

import json
import re
import subprocess
import sys

from tests.acceptance.examples.conftest import EXAMPLES, KEY, newest_text
from tests.acceptance.running import Up, environment
from tokentail.client import Client


def test_the_ten_second_function_gives_the_whole_answer_in_parts(up: Up, client: Client) -> None:
    """No call takes longer than its limit; the last has the text."""
    settings = {"TOKENTAIL_URL": up.url, "TOKENTAIL_API_KEY": KEY, "TIME_LIMIT_S": "4"}
    argv = [sys.executable, str(EXAMPLES / "ten_seconds.py"), "Why is the sky blue?"]
    ended = subprocess.run(argv, env=environment(**settings), capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == newest_text(client) + "\n"
    calls = [float(seconds) for seconds in re.findall(r"^([\d.]+) s: ", ended.stderr, re.MULTILINE)]
    assert len(calls) >= 2
    assert max(calls) <= 4


def test_the_ten_second_function_outlives_a_server_that_is_away() -> None:
    """While the server is away the function returns its state unchanged, within its time limit."""
    state = {"job": "j1", "cursor": "g.7", "text": "so far", "done": False}
    program = "import json, ten_seconds as t; print(json.dumps(t.handler(json.loads(input()))))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(TOKENTAIL_URL="http://127.0.0.1:9", TIME_LIMIT_S="4", PYTHONPATH=str(EXAMPLES)),
        input=json.dumps(state),
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert json.loads(ended.stdout) == state
