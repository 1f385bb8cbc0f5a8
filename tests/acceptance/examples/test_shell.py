"""ask.sh: curl and jq, one answer, and no end to interruptions."""

import json
import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.acceptance.examples.conftest import EXAMPLES, KEY, newest_text
from tests.acceptance.running import Up, start
from tests.programs import JQ
from tests.waiting import eventually
from tokentail.client import Client


class Shell:
    """Runs ask.sh with a state file of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        JQ.require()
        self.state = folder / "state"
        self._settings = {"TOKENTAIL_URL": url, "TOKENTAIL_API_KEY": KEY, "TOKENTAIL_STATE": str(self.state)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [str(EXAMPLES / "ask.sh"), *arguments]
        return start(argv, self._settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return self.end(self.start(*arguments))

    @staticmethod
    def end(command: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        said = command.communicate(timeout=60)
        return command.returncode, *said


def test_the_shell_script_prints_the_answer(up: Up, client: Client, tmp_path: Path) -> None:
    """All of it, and it leaves no state behind."""
    shell = Shell(up.url, tmp_path)
    code, out, err = shell.run("Why is the sky blue?", 'And "why" not green?')
    assert (code, err) == (0, "")
    assert out == newest_text(client) + "\n"
    assert not shell.state.exists()


def test_the_shell_script_goes_on_after_ctrl_c(up: Up, client: Client, tmp_path: Path) -> None:
    """As often as it is stopped: what was printed in all is the text, each token once."""
    shell = Shell(up.url, tmp_path)
    command = shell.start("Why is the sky blue?")
    printed = ""
    for _ in range(4):
        eventually(shell.state.exists, within_s=10, what="a job is remembered")
        before = shell.state.read_text()
        eventually(lambda: shell.state.read_text() != before, within_s=10, what="it has read on")  # noqa: B023
        os.killpg(command.pid, signal.SIGINT)
        code, out, err = shell.end(command)
        assert code == 130
        assert "Read on with" in err
        printed += out
        command = shell.start()
    code, out, _ = shell.end(command)
    assert code == 0
    assert printed + out == newest_text(client) + "\n"


def test_the_shell_script_tells_what_is_wrong(up: Up, tmp_path: Path) -> None:
    """A refusal is shown, and does not repeat for ever."""
    shell = Shell(up.url, tmp_path)
    assert shell.run()[0] == 2
    shell.state.write_text("0123456789abcdefghjkmnpqrs 0\n")
    code, out, err = shell.run()
    assert (code, out) == (1, "")
    assert '"status":404' in err


HOSTILE = "a\x1b[2J\x07\x9b$(touch pwned)`touch pwned`'; touch pwned; '\n\n"


class Hostile(BaseHTTPRequestHandler):
    """A server whose model would like to run commands and steer terminals; its first answers are 503 and nothing."""

    answers = 0

    def do_GET(self) -> None:
        type(self).answers += 1
        if self.answers == 1:
            self.send_error(503)
        elif self.answers > 2:  # the second is no answer at all
            body = {"tokens": [HOSTILE], "cursor": "g.2", "reset": True, "done": True, "status": "failed"}
            body |= {"poll_after_ms": 0, "error": {"message": "It \x1b[31mbroke."}}
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def test_the_shell_script_obeys_no_model(tmp_path: Path) -> None:
    """Text is text: nothing of it is run, and no escape sequence reaches the terminal."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shell = Shell(f"http://127.0.0.1:{server.server_address[1]}", tmp_path)
    shell.state.write_text("j1 0\n")
    code, out, err = shell.run()
    server.shutdown()
    server.server_close()
    assert code == 1
    assert out == "a?[2J??$(touch pwned)`touch pwned`'; touch pwned; '\n\n\n"
    assert "(started again)" in err
    assert "The job ended as failed. It ?[31mbroke." in err
    assert not list(Path.cwd().glob("pwned*"))
