"""`tokentail up` starts everything, looks after it, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.acceptance.running import TOKENTAIL, Up, environment, is_alive, running_up, wait_for_end
from tests.waiting import eventually


def test_ctrl_c_stops_all_in_order(tmp_path: Path) -> None:
    """The web server first, then the worker, Valkey last, which has what they wrote; and the exit code is 0."""
    with running_up(tmp_path, "--model", "demo") as up:
        pids = up.children()
        assert set(pids) == {"valkey", "worker", "app"}
        up.interrupt()
        assert up.command.wait(20) == 0
        assert not [name for name, pid in pids.items() if is_alive(pid)]
        assert up.log.index("web.stopped") < up.log.index("worker.stopped")
        # The worker took its leave of a Redis that was still there.
        assert "unavailable" not in up.log
        assert "leave_failed" not in up.log


def test_a_second_ctrl_c_does_not_wait_for_running_jobs(tmp_path: Path) -> None:
    """A second Ctrl-C stops the command at once; the job is kept, and the next worker takes it."""
    with running_up(tmp_path, "--model", "demo?tokens=1000&tps=20", TOKENTAIL_GRACE_S="60") as up:
        job_id = up.submit(prompt="hello")
        eventually(lambda: up.status(job_id) == "running", what="the job runs")
        pids = up.children()
        up.interrupt()
        eventually(lambda: "worker.draining" in up.log, within_s=15, what="the worker drains")
        up.interrupt()
        assert up.command.wait(10) == 0
        assert not [name for name, pid in pids.items() if is_alive(pid)]
    with running_up(tmp_path, "--model", "demo") as up:
        assert up.status(job_id) in {"queued", "running"}


def test_kill_9_leaves_no_orphan(tmp_path: Path) -> None:
    """The kernel ends the children of a killed `up`, and the next one starts on the same data."""
    with running_up(tmp_path, "--model", "demo?tokens=3&tps=0") as up:
        job_id = up.submit(prompt="hello")
        assert wait_for_end(up, job_id) == "completed"
        pids = up.children()
        assert len(pids) == 3
        up.command.kill()
        up.command.wait()
        eventually(lambda: not any(map(is_alive, pids.values())), within_s=10, what="no child is left")
    with running_up(tmp_path, "--model", "demo") as up:
        assert up.status(job_id) == "completed"


def test_a_default_model_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Exit code 2, and one sentence with the names that there are."""
    argv = [TOKENTAIL, "up", "--port", "0", "--data-dir", str(tmp_path), "--model", "lcoal"]
    ended = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert re.fullmatch(r"tokentail: TOKENTAIL_MODEL: lcoal: .*there is: .*demo; did you mean local.*\n", ended.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_second_up_on_the_same_data_says_where_the_first_is(shared_up: Up) -> None:
    """One line with the address, and an exit code that is not 0."""
    second = run_up("--port", "0", "--data-dir", str(shared_up.data_dir))
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert shared_up.url in second.stderr
    assert requests.get(f"{shared_up.url}/healthz", timeout=5).ok


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    """Nothing is started that would have to be stopped again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run_up("--port", str(port), "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert re.fullmatch(rf"tokentail: cannot listen on 127.0.0.1 port {port}: .*--port\n", refused.stderr)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::"])
def test_the_printed_address_works_by_its_other_names_too(tmp_path: Path, host: str) -> None:
    """A server of this machine is reached as `localhost` and as `127.0.0.1`, whichever of them was printed."""
    with running_up(tmp_path, "--model", "demo", "--host", host, TOKENTAIL_ALLOW_OPEN="1") as up:
        port = up.url.rpartition(":")[2]
        for url in (up.url, f"http://localhost:{port}", f"http://127.0.0.1:{port}"):
            answer = requests.post(f"{url}/v1/jobs", json={"prompt": "why"}, headers={"Origin": url}, timeout=10)
            assert answer.status_code == 202, answer.text


def test_settings_that_cannot_work_are_told_together(tmp_path: Path) -> None:
    """`--host` for the network without keys and a port that is no number are reported together, and nothing starts."""
    refused = run_up("--host", "0.0.0.0", "--port", "many", "--data-dir", str(tmp_path / "data"))
    assert refused.returncode == 2
    assert "TOKENTAIL_HOST" in refused.stderr
    assert "TOKENTAIL_PORT" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_redis_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With REDIS_URL no Valkey is started, and what it names must answer."""
    refused = run_up("--port", "0", "--data-dir", str(tmp_path), REDIS_URL=f"unix://{tmp_path}/nothing.sock")
    assert refused.returncode == 1
    assert "REDIS_URL" in refused.stderr


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    """Each of them, Valkey with its data included; `up` itself stays."""
    with running_up(tmp_path, "--model", "demo?tokens=3&tps=0") as up:
        job_id = up.submit(prompt="before")
        assert wait_for_end(up, job_id) == "completed"
        for name in ("app", "worker", "valkey"):
            pid = up.children()[name]
            os.kill(pid, signal.SIGKILL)
            eventually(partial(is_replaced, up, name, pid), within_s=10, what=f"{name} lives again")
        restarted = r"service\.restarted service=\w+ exit_code=-9"
        eventually(lambda: len(re.findall(restarted, up.log)) == 3, what="each restart is in the log")
        eventually(lambda: is_serving(up), within_s=10, what="the web server answers")
        assert up.status(job_id) == "completed"
        after = up.submit(prompt="after")
        assert wait_for_end(up, after, within_s=20) == "completed"


def test_keys_of_providers_are_given_to_the_worker_alone(tmp_path: Path) -> None:
    """Only the worker receives a provider's key, so that the web server and Valkey cannot leak one."""
    with running_up(
        tmp_path,
        "--model",
        "demo",
        OPENAI_API_KEY="sk-acceptance-test",
        TOKENTAIL_API_KEYS="a-key-of-sixteen-letters",
    ) as up:
        environments = {name: Path(f"/proc/{pid}/environ").read_bytes() for name, pid in up.children().items()}
        holders = {name for name, content in environments.items() if b"sk-acceptance-test" in content}
        assert holders == {"worker"}
        assert b"a-key-of-sixteen-letters" not in environments["valkey"]
        assert requests.get(f"{up.url}/v1/jobs", timeout=5).status_code == 401
        assert "sk-acceptance-test" not in up.log
        assert "a-key-of-sixteen-letters" not in up.log


def test_a_folder_named_app_where_it_is_started_is_not_ours(tmp_path: Path) -> None:
    """Many projects have an app folder; `tokentail up` is started in them, too."""
    for name in ("app", "worker"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('this is not Tokentail')")
    with running_up(tmp_path, "--model", "demo", cwd=tmp_path) as up:
        assert is_serving(up)


def run_up(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOKENTAIL, "up", "--model", "demo", *options],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def is_replaced(up: Up, name: str, pid: int) -> bool:
    return up.children().get(name, pid) != pid


def is_serving(up: Up) -> bool:
    try:
        return requests.get(f"{up.url}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_listening_to_all_without_keys_needs_a_flag_and_is_told(tmp_path: Path) -> None:
    """Listening to all addresses without keys is refused; with --allow-open it is done, with a warning."""
    refused = run_up("--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path / "refused"))
    assert "--allow-open" in refused.stderr
    with running_up(tmp_path, "--model", "demo", "--host", "0.0.0.0", "--allow-open") as up:
        assert "web.open" in up.log
