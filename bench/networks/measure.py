"""`python -m bench networks`: how readers get through real proxies, beside the JavaScript client of a week before.

In front of one web process runs each proxy in turn, in its smallest configuration and as advised. Behind it is a relay,
which after some seconds dies for one second, as a web process does that is replaced. All readers of one proxy read at
once, each a job of its own, so that each sees the same proxy and the same death.
"""

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.http_connection import HttpConnection
from bench.measure import Measure
from bench.networks.node_setups import node_setups
from bench.networks.running import NODE, Front, fronts
from bench.networks.setups import debian_setups
from bench.program import run_program
from bench.stack import part_environment, running_stack, temporary_folder
from bench.upstream import SILENT

BEFORE = "79545b4"  # of 2026-11-22
LIMITS_S = {"first token": 1.5, "dead upstream noticed": 12.0, "unanswered poll given up after its wait": 5.0}
SLACK_S = 0.5  # of our own timing, on a busy machine
_ROOT = Path(__file__).parents[2]
_CLIENT = "app/static/client/tokentail.js"
_TRANSPORTS = ("auto", "sse", "websocket", "long")
_TOKENS_PER_S = 10.0
_STEADY_S = 8.0
_AWAY_S = 1.0
_LASTS_S = 36.0  # the old client takes 25 s to notice
_WAIT_S = 4.0  # of the poll that is never answered
_CALL_S = 20.0


@dataclass(frozen=True)
class Readings:
    """What one reader saw, in seconds; NaN where it saw nothing."""

    first_token_s: float
    longest_gap_s: float  # before the death
    noticed_s: float  # from the death to the reader's next request
    silence_s: float  # the longest between two tokens around and after the death


def measure_networks() -> Iterator[Measure]:
    """First token, longest gap, a dead upstream and an unanswered poll, for each setup. Raises over the limits."""
    over: list[str] = []
    with running_stack(tokens_per_s=_TOKENS_PER_S) as stack, temporary_folder() as folder:
        old = folder / "tokentail.mjs"
        old.write_bytes(_before())
        setups = [None, *debian_setups(), *node_setups()]

        def run(front: Front) -> dict[str, Any]:
            return _run(front, stack.web_port, old)

        for front, found in fronts(setups, stack.web_port, run, lambda absent: print(absent, file=sys.stderr)):
            for measure in _measures(front.name, found):
                over += _over(measure)
                yield measure
    if over:
        raise RuntimeError(f"over the limit: {'; '.join(over)}")


def _run(front: Front, web_port: int, old: Path) -> dict[str, Any]:
    """What each reader saw, by `before|now transport`, and the time of the death."""
    url = f"http://127.0.0.1:{front.port}"
    clients = {"before": old.as_uri(), "now": (_ROOT / _CLIENT).as_uri()}
    asked = json.dumps({"url": url, "clients": clients, "mostMs": 1000 * _LASTS_S})
    argv = [str(NODE), str(Path(__file__).with_name("readers.mjs")), asked]
    with ExitStack() as parts:
        pipe = subprocess.PIPE
        node = parts.enter_context(subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=part_environment()))
        parts.callback(node.kill)
        assert node.stdout is not None
        if node.stdout.readline() != "warm\n":
            raise RuntimeError(f"the readers of {front.name} did not start")
        readers = [f"{client} {transport}" for transport in (*_TRANSPORTS, "held") for client in clients]
        jobs = _jobs(web_port, [*readers, "now python", "now python held"])
        front.relay.never_answer(*(job for name, job in jobs.items() if "held" in name))
        given = [
            {
                "name": name,
                "client": name.split()[0],
                "job": jobs[name],
                "transport": "long" if "held" in name else name.split()[1],
                "timing": {"waitMs": 1000 * _WAIT_S} if "held" in name else {},
            }
            for name in readers
        ]
        python = {"now python": ("auto", 20.0), "now python held": ("long", _WAIT_S)}
        pool = parts.enter_context(ThreadPoolExecutor(len(python) + 1))
        output = pool.submit(node.communicate, json.dumps(given), _LASTS_S + 30)
        by_python = {
            name: pool.submit(
                run_program,
                "bench.networks.python_reader",
                url=url,
                job=jobs[name],
                wait_s=wait_s,
                transport=transport,
                most_s=_LASTS_S - 2,
            )
            for name, (transport, wait_s) in python.items()
        }
        time.sleep(_STEADY_S)
        front.relay.die()
        died = time.monotonic()
        time.sleep(_AWAY_S)
        front.relay.live()
        found = {each["name"]: each for each in json.loads(output.result()[0])}
        found |= {name: run.result() for name, run in by_python.items()}
        return {"died": died, **found}


def _jobs(web_port: int, names: list[str]) -> dict[str, str]:
    """The id of a new job for each reader: one with tokens, and one without any where its polls are not answered."""
    jobs = {}
    with HttpConnection(web_port, _CALL_S) as server:
        for name in names:
            asked = (SILENT,) if "held" in name else ("paced", int(_TOKENS_PER_S * (_LASTS_S - 6)))
            jobs[name] = server.submit(*asked)["id"]
    return jobs


def _measures(name: str, found: dict[str, Any]) -> Iterator[Measure]:
    died = found["died"]
    for transport in (*_TRANSPORTS, "python"):
        runs = [found[f"{client} {transport}"] for client in ("now", "before") if f"{client} {transport}" in found]
        now, *before = [readings(run, died) for run in runs]
        shown = f"networks, {name}, {'Python client' if transport == 'python' else transport}"
        for what, field in (
            ("first token", "first_token_s"),
            ("longest gap", "longest_gap_s"),
            ("dead upstream noticed", "noticed_s"),
            ("silence when it died", "silence_s"),
        ):
            yield _measure(f"{shown}, {what}", getattr(now, field), [getattr(one, field) for one in before])
    what = "unanswered poll given up after its wait"
    held = {name: _second_request_s(run) - _WAIT_S for name, run in found.items() if "held" in name}
    yield _measure(f"networks, {name}, long, {what}", held["now held"], [held["before held"]])
    yield _measure(f"networks, {name}, Python client, {what}", held["now python held"], [])


def _measure(name: str, now: float, before: list[float]) -> Measure:
    return Measure(name, "s", [now], before, "the client before" if before else "", "difference")


def readings(run: dict[str, Any], died: float) -> Readings:
    """What one reader saw."""
    arrived: list[float] = run["arrived"]
    asked = [at for at in run["asked"] if at > died]
    return Readings(
        arrived[0] - run["began"] if arrived else math.nan,
        _longest([at for at in arrived if at < died]),
        asked[0] - died if asked else math.nan,
        _longest([at for at in arrived if at > died - 0.5]),
    )


def _longest(times: list[float]) -> float:
    return max((b - a for a, b in itertools.pairwise(times)), default=math.nan)


def _second_request_s(run: dict[str, Any]) -> float:
    asked = run["asked"]
    return asked[1] - asked[0] if len(asked) > 1 else math.nan


def _over(measure: Measure) -> list[str]:
    """The measure, if it is of a reader that chooses its transport and has a limit that was not kept."""
    *_, by, what = measure.name.split(", ")
    limit_s = LIMITS_S.get(what)
    if limit_s is None or by not in {"auto", "long", "Python client"} or (by == "long" and what == "first token"):
        return []
    (seen_s,) = measure.ours
    return [] if seen_s <= limit_s + SLACK_S else [f"{measure.name} {seen_s:.1f} s, at most {limit_s:g} s"]


def _before() -> bytes:
    """The JavaScript client as it was. Raises RuntimeError in a checkout without history."""
    shown = subprocess.run(["git", "show", f"{BEFORE}:{_CLIENT}"], cwd=_ROOT, capture_output=True, check=False)
    if shown.returncode:
        raise RuntimeError(f"the client of {BEFORE} is not in this checkout: {shown.stderr.decode()[:200]}")
    return shown.stdout
