"""SSE clients of others, unmodified, against a running `tokentail up`: `make sse-clients` prints what each shows.

Every client reads a job's stream and a bare `/stream` while a relay cuts it off once in mid-answer, and a bare stream
that is cut off before its first token. Exits with 1 if a client does worse than is known of it. It needs the registries
of PyPI and npm.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests

from tests.acceptance.running import Up, running_up
from tests.one_cut_relay import OneCutRelay
from tests.others import python_with, runtime, with_npm_packages

PROGRAMS = Path(__file__).parent / "sse_programs"
AT_ONCE = 4
_WITHIN_S = 60.0  # for an answer of twelve seconds
_AFTER_S = 8.0  # in which requests are counted that come after the end
_MODEL = "demo?tokens=240&tps=20"
_THINKS_FIRST = "demo?reasoning=30&tokens=10&tps=10"
_SPACES = "loses spaces"
_COLUMNS = (
    "client",
    "a job's stream",
    "`/stream`",
    "jobs",
    "jobs, cut before the first token",
    "requests after the end",
)


@dataclass(frozen=True)
class Client:
    """A client: its function in the programs, its packages, and where it runs (`""`: in Python)."""

    name: str
    packages: tuple[str, ...]
    runtime: str = "node 26"
    drops_spaces: bool = False  # by its own fault

    @property
    def title(self) -> str:
        """The package and its version, or the runtime whose own client this is; and its option."""
        return " ".join(self.packages[:1] or (f"{self.runtime}, its own",)) + self.name.partition(":")[2]

    def command(self) -> list[str]:
        """What runs it, but for the address. Its packages are installed."""
        folder_name = "".join(letter for letter in self.name if letter.isalnum() or letter == "-")
        if not self.runtime:
            return [str(python_with(folder_name, *self.packages)), str(PROGRAMS / "iterators.py"), self.name]
        program = with_npm_packages(folder_name, *self.packages) / "event_sources.mjs"
        program.write_bytes((PROGRAMS / "event_sources.mjs").read_bytes())
        options = ["run", "-A"] if self.runtime == "deno" else ["--no-warnings", "--experimental-eventsource"]
        if self.runtime == "node 20":
            options = []
        return [str(runtime(self.runtime)), *options, str(program), self.name]


CLIENTS = (
    Client("global", ()),
    Client("global", (), "deno"),
    Client("eventsource", ("eventsource@5.1.5",)),
    Client("eventsource", ("eventsource@4.1.1",), "node 20"),
    Client("eventsource-client", ("eventsource-client@1.2.0",)),
    Client("event-source-polyfill", ("event-source-polyfill@1.0.31",)),
    Client("reconnecting-eventsource", ("reconnecting-eventsource@1.6.5", "eventsource@5.1.5")),
    Client("fetch-event-source", ("@microsoft/fetch-event-source@2.0.1",)),
    Client("event-source-plus", ("event-source-plus@0.1.15",), drops_spaces=True),
    Client("event-source-plus: on-error", ("event-source-plus@0.1.15",), drops_spaces=True),
    Client("extended-eventsource", ("extended-eventsource@2.1.0",)),
    Client("launchdarkly-eventsource", ("launchdarkly-eventsource@2.2.0",)),
    Client("eventsource-parser", ("eventsource-parser@4.1.3",)),
    Client("sseclient-py", ("sseclient-py==1.9.0", "requests==2.34.2"), ""),
    Client("sseclient", ("sseclient==0.0.27",), ""),
    Client("httpx-sse", ("httpx-sse==0.4.3", "httpx==0.28.1"), ""),
    Client("requests-sse", ("requests-sse==0.5.3",), "", drops_spaces=True),
    Client("aiohttp-sse-client2", ("aiohttp-sse-client2==0.3.0",), "", drops_spaces=True),
    Client("launchdarkly", ("launchdarkly-eventsource==1.7.4",), ""),
    Client("launchdarkly: always_continue", ("launchdarkly-eventsource==1.7.4",), ""),
    Client("niquests", ("niquests==3.21.2",), ""),
)


@dataclass(frozen=True)
class Seen:
    """What one client passed on of one stream, and what the relay saw of it."""

    pieces: tuple[str, ...]
    error: str  # the last one
    has_ended: bool  # by itself
    is_cut: bool
    jobs: frozenset[str]
    requests_after: int

    def verdict(self, expected: str, text_of: Callable[[str], str]) -> str:
        """`yes`, or how the client's text differs from the answer."""
        if not self.is_cut:
            return "no: it was too slow to be cut off"
        try:
            text = "".join(text_of(piece) for piece in self.pieces)
        except ValueError:
            return "no: an event is not JSON"
        if text == expected:
            return "yes"
        if text.replace(" ", "") == expected.replace(" ", ""):
            return _SPACES
        is_prefix = expected.replace(" ", "").startswith(text.replace(" ", ""))
        if is_prefix and text and self.has_ended:
            lost = "" if expected.startswith(text) else f", {_SPACES}"
            return (f"raises at the cut: {self.error}" if self.error else "ends at the cut") + lost
        return f"no: {len(text)} characters of {len(expected)} {self.error}"


def main() -> int:
    """Try every client, or those that are named, on three streams; some clients at once."""
    chosen = [client for client in CLIENTS if not sys.argv[1:] or client.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, running_up(Path(folder)) as up:
        commands = [client.command() for client in chosen]
        print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            faults = list(pool.map(lambda tried: _row(up, *tried), zip(chosen, commands, strict=True)))
    return 1 if any(faults) else 0


def _row(up: Up, client: Client, command: list[str]) -> bool:
    """Try one client and print its row; whether it does worse than is known of it."""
    job_id = up.submit(model=_MODEL, prompt=client.name)
    of_job = _read(up, command, f"/v1/jobs/{job_id}/stream", (b"retry:", 2300))
    first = of_job.verdict(_text(up, job_id), lambda piece: "".join(json.loads(piece)["tokens"]))
    bare = _read(up, command, f"/stream?query={quote(client.name)}&model={quote(_MODEL)}", (b"\nid: ", 2000))
    second = bare.verdict(_text(up, min(bare.jobs, default="")), lambda piece: "" if piece == "[DONE]" else piece)
    early = _read(up, command, f"/stream?query={quote(client.name)}&model={quote(_THINKS_FIRST)}", (b":0\n\n", 0))
    row = (
        client.title,
        first,
        second,
        len(bare.jobs),
        len(early.jobs),
        f"{of_job.requests_after}, {bare.requests_after}",
    )
    print(f"| {' | '.join(map(str, row))} |", flush=True)
    is_ours = _SPACES in second and not client.drops_spaces
    return first.startswith("no") or second.startswith("no") or is_ours or len(bare.jobs) != 1


def _read(up: Up, command: list[str], path: str, cut: tuple[bytes, int]) -> Seen:
    """Have the client read through a relay, until it ends or some time after it was given everything."""
    with OneCutRelay(urlsplit(up.url).port or 0, *cut) as relay, tempfile.NamedTemporaryFile() as file:
        output = Path(file.name)
        client = subprocess.Popen([*command, f"http://127.0.0.1:{relay.port}{path}"], stdout=file, stderr=file)
        try:
            until = time.monotonic() + _WITHIN_S
            while time.monotonic() < until and client.poll() is None and not _is_complete(output):
                time.sleep(0.2)
            before = relay.requests
            if client.poll() is None:
                time.sleep(_AFTER_S)
            has_ended = client.poll() is not None
        finally:
            client.kill()
            client.wait()
        lines = [json.loads(line) for line in _lines(output) if line.startswith("{")]
        errors = [str(line["error"]) for line in lines if "error" in line]
        given = [line["data"] for line in lines if "data" in line]
        pieces = tuple(given[: next((at for at, piece in enumerate(given, 1) if _is_last(piece)), None)])
        jobs = frozenset(relay.jobs)
        return Seen(pieces, " ".join(errors[-1:]), has_ended, relay.cuts == 1, jobs, relay.requests - before)


def _is_complete(output: Path) -> bool:
    lines = [line for line in _lines(output) if line.startswith('{"data"')]
    return any(_is_last(json.loads(line)["data"]) for line in lines[-2:])


def _is_last(piece: str) -> bool:
    return piece == "[DONE]" or '"done":true' in piece


def _lines(output: Path) -> list[str]:
    return output.read_text().splitlines()


def _text(up: Up, job_id: str) -> str:
    return requests.get(f"{up.url}/v1/jobs/{job_id}/text", timeout=10).content.decode()


if __name__ == "__main__":
    sys.exit(main())
