"""docs/tutorial_chat.md: its first program is run as printed, and its other code is that of the example."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running import Up, environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial_chat.md").read_text()
PROGRAM, *EXCERPTS = re.findall(r"```(?:python|js)\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_program_prints_two_answers(shared_up: Up, tmp_path: Path) -> None:
    """The second turn has the first one before it: the demo counts the words of all messages."""
    argv = [sys.executable, "-c", PROGRAM.replace("http://127.0.0.1:8000", shared_up.url)]
    ended = subprocess.run(
        argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    second, first = shared_up.get("/v1/jobs", limit=2)["jobs"]
    answers = ["".join(shared_up.get(f"/v1/jobs/{job['id']}/tokens")["tokens"]) for job in (first, second)]
    assert ended.stdout == "".join(f"{answer}\n" for answer in answers)
    words = len(f"Why is the sky blue? {answers[0]} Say that to a child.".split())
    assert second["usage"]["input_tokens"] == words


@pytest.mark.checkout
@pytest.mark.parametrize("excerpt", EXCERPTS)
def test_the_code_that_is_shown_is_that_of_the_example(excerpt: str) -> None:
    """A page that shows other code than what runs teaches what nobody tried."""
    files = [path.read_text() for path in (ROOT / "examples" / "chat").iterdir() if path.is_file()]
    assert any(excerpt in text for text in files), excerpt
