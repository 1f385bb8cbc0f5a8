"""Fail-overs under load, measured: for how long are readers silent, and which submissions are refused or lost?

    make fail-over [ROUNDS=3]

Two workers, one web process, three servers and three Sentinels, all real. Readers follow jobs of 20 tokens a second;
a job is submitted every 0.15 s. Then the primary is killed, or hangs until the fail-over is over. Prints a line for
each round; exits with 1 where an answer was not whole or a job was redone.
"""

import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from tests.acceptance.chaos.program import Program
from tests.integration.web_process import WebProcess
from tests.job_follower import JobFollower
from tests.sentinel_fleet import SentinelFleet
from tests.waiting import eventually

_READERS = 24
_TOKENS = 300
_SUBMIT_EACH_S = 0.15
_WARM_UP_S = 3.0
_HANGS_S = 6.0


def main() -> int:
    """Run each fault as often as asked for."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    outcomes = [_round(fault) for _ in range(rounds) for fault in ("killed", "hung")]
    return int(not all(outcomes))


def _round(fault: str) -> bool:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet = stack.enter_context(SentinelFleet())
        for i in range(2):
            worker = Program("worker", f"worker-{i}", folder, {"REDIS_URL": fleet.url, "TOKENTAIL_MODEL": "demo"})
            worker.start()
            stack.callback(worker.kill)
        web = stack.enter_context(WebProcess(fleet.url))
        eventually(lambda: web.ask("GET", "/readyz").json.get("workers") == 2, within_s=30, what="there are workers")
        followers = [JobFollower(web, _TOKENS) for _ in range(_READERS)]
        readers = [threading.Thread(target=follower.read_until, args=(_TOKENS,)) for follower in followers]
        for reader in readers:
            reader.start()
        submissions = _Submissions(web)
        time.sleep(_WARM_UP_S)
        old = fleet.primary
        began = time.monotonic()
        if fault == "killed":
            old.kill()
        else:
            old.signal(signal.SIGSTOP)
        fleet.await_switch(old)
        switched_s = time.monotonic() - began
        if fault == "hung":
            time.sleep(max(0.0, _HANGS_S - switched_s))
            old.signal(signal.SIGCONT)
        for reader in readers:
            reader.join()
        refused_s, accepted = submissions.stop()
        lost = sum(web.ask("GET", f"/v1/jobs/{job_id}").status == 404 for job_id in accepted)
        for follower in followers:
            follower.assert_whole(_TOKENS)
        attempts = [web.ask("GET", f"/v1/jobs/{each.job_id}").json["attempts"] for each in followers]
        silent_s = sorted(max(follower.gaps_s) for follower in followers)
        redone = sum(int(each) > 1 for each in attempts)
        print(
            f"{fault}: switched after {switched_s:.1f} s; readers silent {statistics.median(silent_s):.1f} s (most "
            f"{silent_s[-1]:.1f}); resets {sum(each.resets for each in followers)}; jobs redone {redone}; submissions "
            f"refused for {refused_s:.1f} s, lost {lost} of {len(accepted)}",
            flush=True,
        )
        return redone == 0


class _Submissions:
    """A job each 0.15 s, until stopped."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web
        self._is_over = threading.Event()
        self._accepted: list[str] = []
        self._refused: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> tuple[float, list[str]]:
        """For how long submissions were refused, and the ids of those that were accepted."""
        self._is_over.set()
        self._thread.join()
        return (self._refused[-1] - self._refused[0] if self._refused else 0.0), self._accepted

    def _run(self) -> None:
        body = b'{"prompt": "why", "model": "demo?tokens=5&tps=50"}'
        while not self._is_over.wait(_SUBMIT_EACH_S):
            began = time.monotonic()
            reply = self._web.ask("POST", "/v1/jobs", body, Content_Type="application/json")
            if reply.status == 202:
                self._accepted.append(reply.json["id"])
            else:
                self._refused += [began, time.monotonic()]


if __name__ == "__main__":
    sys.exit(main())
