"""The code in docs/javascript.md does what the docs say."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from tests.programs import NODE

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[2]
EVENTS = [
    {"type": "start", "generation": "g", "provider": "demo", "model": "demo"},
    {"type": "reasoning", "text": "I must ", "provider_state": {"dialect": "gemini", "parts": [1]}},
    {"type": "reasoning", "text": "look."},
    "One ",
    {"type": "tool_call", "index": 0, "id": "a", "name": "list_files", "arguments": '{"fol'},
    {"type": "tool_call", "index": 1, "id": "b", "name": "list_files", "arguments": "{}", "provider_state": {"x": 1}},
    {"type": "tool_call", "index": 0, "arguments": 'der": "x"}'},
    "moment.",
    {"type": "reasoning", "text": "", "provider_state": {"dialect": "gemini", "parts": [1, 2]}},
    {"type": "citation", "url": "https://x.example", "title": "X", "text": ""},
    {"type": "end", "status": "completed"},
]


@pytest.mark.parametrize("events", [EVENTS, [*EVENTS[:4], EVENTS[-1]], [EVENTS[0]]], ids=["tools", "text", "nothing"])
def test_the_next_message_is_that_of_the_example_in_python(events: list[object]) -> None:
    """Both make the same message of an answer's events, with the state that the provider wants back."""
    source = (ROOT / "docs" / "javascript.md").read_text()
    shown = re.search(r"^function messageOf\(events\) \{.*?^\}", source, re.DOTALL | re.MULTILINE)
    assert shown is not None
    script = f"{shown[0]}\nconsole.log(JSON.stringify(messageOf({json.dumps(events)})));"
    ran = subprocess.run([NODE.require(), "-e", script], capture_output=True, text=True, timeout=60, check=True)
    message_of = runpy.run_path(str(ROOT / "examples" / "tool_loop.py"))["message_of"]
    assert json.loads(ran.stdout) == message_of(events)
