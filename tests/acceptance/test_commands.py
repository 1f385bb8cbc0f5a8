"""The command line against a running server: what it prints, when, and the exit code it leaves."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from tests.acceptance.running import TOKENTAIL, Up, environment, wait_for_end


def test_ask_prints_tokens_as_they_come(shared_up: Up) -> None:
    """Not all at once at the end: 40 tokens at 40 a second take a second, and are seen in many pieces."""
    with shared_up.start("ask", "Why is the sky blue?") as command:
        pieces = read_pieces(command.stdout)
        assert command.wait(10) == 0
    assert len(pieces) >= 10
    assert pieces[-1][0] - pieces[0][0] > 0.5
    newest = shared_up.get("/v1/jobs")["jobs"][0]
    tokens = shared_up.get(f"/v1/jobs/{newest['id']}/tokens")["tokens"]
    assert "".join(piece for _, piece in pieces) == "".join(tokens) + "\n"


def test_ctrl_c_cancels_the_job(shared_up: Up) -> None:
    """Exit code 130, and the model stops."""
    with shared_up.start("ask", "hello", "--model", "demo?tokens=100000&tps=20") as command:
        assert command.stdout is not None
        assert os.read(command.stdout.fileno(), 1)
        job_id = shared_up.get("/v1/jobs")["jobs"][0]["id"]
        assert shared_up.status(job_id) == "running"
        command.send_signal(signal.SIGINT)
        assert command.wait(10) == 130
        assert command.stderr is not None
        assert "Traceback" not in command.stderr.read()
    assert shared_up.status(job_id) == "cancelled"


def test_ask_without_waiting_then_tail_then_status(shared_up: Up) -> None:
    """The id is all that a later reader needs."""
    asked = shared_up.run("ask", "--no-wait", "--model", "demo?tokens=20&tps=40", "-", stdin="hello\n")
    assert asked.returncode == 0
    job_id = asked.stdout.strip()
    followed = shared_up.run("tail", job_id)
    again = shared_up.run("tail", job_id)
    assert followed.returncode == again.returncode == 0
    assert followed.stdout == again.stdout == "".join(shared_up.get(f"/v1/jobs/{job_id}/tokens")["tokens"]) + "\n"
    status = shared_up.run("status", job_id)
    assert re.search(r"^status +completed$", status.stdout, re.MULTILINE)
    assert re.search(r"^token_count +20$", status.stdout, re.MULTILINE)
    assert json.loads(shared_up.run("status", "--json", job_id).stdout)["id"] == job_id


def test_json_is_one_body_a_line(shared_up: Up) -> None:
    """Programs get what the server said."""
    asked = shared_up.run("ask", "--json", "--model", "demo?tokens=10&tps=50", "hello")
    bodies = [json.loads(line) for line in asked.stdout.splitlines()]
    assert sum(len(body["tokens"]) for body in bodies) == 10
    assert [body["done"] for body in bodies].count(True) == 1
    assert bodies[-1]["usage"]["output_tokens"] == 10


def test_cancel_stops_a_job_and_its_reader(shared_up: Up) -> None:
    """The `tail` of a cancelled job prints that it was cancelled and exits with code 1."""
    job_id = shared_up.submit(prompt="hello", model="demo?tokens=100000&tps=20")
    with shared_up.start("tail", job_id) as reader:
        assert reader.stdout is not None
        assert os.read(reader.stdout.fileno(), 1)
        assert shared_up.run("cancel", job_id).stdout == "cancelled\n"
        assert reader.wait(10) == 1
        assert reader.stderr is not None
        assert reader.stderr.read() == "tokentail: the job was cancelled\n"
    assert shared_up.run("cancel", job_id).returncode == 0


def test_ctrl_c_of_a_tail_leaves_the_job_alone(shared_up: Up) -> None:
    """A `tail` that is interrupted cancels nothing: only the command that submitted a job cancels it by Ctrl-C."""
    job_id = shared_up.submit(prompt="hello", model="demo?tokens=60&tps=30")
    with shared_up.start("tail", job_id) as reader:
        assert reader.stdout is not None
        assert os.read(reader.stdout.fileno(), 1)
        reader.send_signal(signal.SIGINT)
        assert reader.wait(10) == 130
    assert wait_for_end(shared_up, job_id) == "completed"


def test_a_job_that_is_not_there_is_exit_code_4(shared_up: Up) -> None:
    """One line, for each command that takes an id."""
    for command in ("status", "tail", "cancel"):
        missing = shared_up.run(command, "0" * 26)
        assert missing.returncode == 4
        assert missing.stderr.count("\n") == 1


def test_a_model_that_is_not_there_is_exit_code_2(shared_up: Up) -> None:
    """The error message for an unknown model names the models that there are."""
    refused = shared_up.run("ask", "--model", "gpt-0", "hello")
    assert refused.returncode == 2
    assert "demo" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_server_that_is_not_there_is_exit_code_3() -> None:
    """At once, and in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    refused = subprocess.run(
        [TOKENTAIL, "ask", "--url", f"http://127.0.0.1:{port}", "hello"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "TOKENTAIL_URL" in refused.stderr, "a server on another port is found by its address"
    assert time.monotonic() - began < 8


def test_check_tells_settings_and_faults_without_secrets() -> None:
    """What is in force, what is odd, and every fault at once."""
    good = run_check(OPENAI_API_KEY="sk-hidden", TOKENTAIL_API_KEYS="short", TOKENTAIL_PROT="1")
    assert good.returncode == 0
    assert re.search(r"^TOKENTAIL_PORT +8000 ", good.stdout, re.MULTILINE)
    assert "did you mean TOKENTAIL_PORT?" in good.stderr
    assert "fewer than 16 characters" in good.stderr
    assert "sk-hidden" not in good.stdout + good.stderr
    assert "short" not in good.stdout + good.stderr
    bad = run_check(TOKENTAIL_PORT="many", TOKENTAIL_LOG_LEVEL="LOUD")
    assert bad.returncode == 2
    assert "TOKENTAIL_PORT" in bad.stderr
    assert "TOKENTAIL_LOG_LEVEL" in bad.stderr
    assert good.stdout.splitlines()[-1] == "These settings can work; 2 warnings"
    assert bad.stderr.splitlines()[-1] == "tokentail: 2 faults: nothing starts before the faults are corrected"
    plain = run_check()
    assert (plain.stdout.splitlines()[-1], plain.stderr) == ("These settings can work", "")
    assert re.search(r"^TOKENTAIL_API_KEYS +\(set, 1 key\) ", good.stdout, re.MULTILINE)


def test_check_tells_faults_of_the_providers_file_beside_those_of_settings(tmp_path: Path) -> None:
    """All at once, with exit code 2, whether the settings are right or not; no value of a header shows."""
    path = tmp_path / "p.toml"
    path.write_text('[providers.x]\ndialekt = "a"\nheaders = {"api-key" = "secret-value\\n"}\n')
    for more in ({}, {"TOKENTAIL_PORT": "many"}):
        bad = run_check(TOKENTAIL_PROVIDERS=str(path), **more)
        assert bad.returncode == 2
        assert "dialekt" in bad.stderr
        assert "secret-value" not in bad.stdout + bad.stderr
        assert ("TOKENTAIL_PORT" in bad.stderr) == bool(more)


def test_check_shows_no_secret_of_an_address() -> None:
    """Credentials and the values of parameters are hidden; the rest of the address is not."""
    told = run_check(OPENAI_BASE_URL="https://me:hidden-1@x.example/v1?code=hidden-2&api-version=1")
    assert "x.example/v1" in told.stdout
    assert "hidden" not in told.stdout + told.stderr


def run_check(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOKENTAIL, "check"], env=environment(**settings), capture_output=True, text=True, timeout=30, check=False
    )


def read_pieces(stream: IO[str] | None) -> list[tuple[float, str]]:
    """What comes out of a command, piece by piece, each with its moment; the pieces are ASCII."""
    assert stream is not None
    pieces = []
    while piece := os.read(stream.fileno(), 65536):
        pieces.append((time.monotonic(), piece.decode()))
    return pieces
