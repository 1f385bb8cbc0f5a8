"""The readers: one process that reads many streams at once, a thread each, and times every token.

`python -m bench.readers polls|direct …` prints one JSON object. `polls` submits a job to Tokentail and follows it by
long poll; `direct` reads the same upstream with `requests` and `read1`, as the bare library allows. A token is timed
when the reader has its text. The two differ in nothing else.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import requests

from bench.http_connection import HttpConnection

_TIMEOUT_S = 60.0
_WAIT_S = 20
_READ_BYTES = 65536


@dataclass
class Reading:
    """What one reader saw, or all of them together."""

    latencies_ns: list[int] = field(default_factory=list)  # sending to having; tokens after the warm-up
    tokens: int = 0
    answers: int = 0  # polls, or network reads
    cpu_s: float = 0.0  # of the whole process, while reading
    wall_s: float = 0.0

    def take(self, texts: list[str], warm_up: int) -> None:
        """Time the tokens of one answer."""
        arrived_ns = time.monotonic_ns()
        self.answers += 1
        for text in texts:
            self.tokens += 1
            if self.tokens > warm_up:
                self.latencies_ns.append(arrived_ns - int(text))


Read = Callable[[int, int], Iterator[list[str]]]


def poll(port: int, tokens: int) -> Iterator[list[str]]:
    """Submit a job of `tokens` and follow it: the texts of each poll."""
    with HttpConnection(port, _TIMEOUT_S) as server:
        job = server.post("/v1/jobs", {"prompt": "x", "model": "openai/bench", "max_tokens": tokens}, 202)
        path, cursor, is_done = job["links"]["tokens"], "0", False
        while not is_done:
            answer = server.get(f"{path}?cursor={cursor}&wait={_WAIT_S}")
            if answer["reset"] or answer.get("error"):
                raise RuntimeError(f"the job was lost: {answer['status']}, {answer.get('error')}")
            yield answer["tokens"]
            cursor, is_done = answer["cursor"], answer["done"]


def read_directly(port: int, tokens: int) -> Iterator[list[str]]:
    """Ask the upstream for `tokens`: the texts of each network read."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        asked = {"model": "bench", "max_tokens": tokens, "stream": True, "messages": []}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        with session.post(url, json=asked, stream=True, timeout=_TIMEOUT_S) as response:
            response.raise_for_status()
            buffer = b""
            while received := response.raw.read1(_READ_BYTES, decode_content=True):
                *events, buffer = (buffer + received).split(b"\n\n")
                yield [text for event in events if (text := _text(event))]


def _text(event: bytes) -> str:
    if event == b"data: [DONE]":
        return ""
    choices = json.loads(event.removeprefix(b"data: "))["choices"]
    return choices[0]["delta"].get("content", "") if choices else ""


def read_all(read: Read, port: int, streams: int, tokens: int, warm_up: int) -> Reading:
    """Read `streams` at once. Raises RuntimeError when any of them was not read whole."""
    readings = [Reading() for _ in range(streams)]
    failures: list[str] = []

    def run(reading: Reading) -> None:
        try:
            for texts in read(port, tokens):
                reading.take(texts, warm_up)
        except Exception as error:  # a thread's error must reach the exit status
            failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(reading,)) for reading in readings]
    cpu_s, wall_s = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or any(reading.tokens != tokens for reading in readings):
        counts = sorted({reading.tokens for reading in readings})
        raise RuntimeError(f"not all was read: {counts} of {tokens} tokens; {failures[:3]}")
    return Reading(
        latencies_ns=[latency for reading in readings for latency in reading.latencies_ns],
        tokens=sum(reading.tokens for reading in readings),
        answers=sum(reading.answers for reading in readings),
        cpu_s=time.process_time() - cpu_s,
        wall_s=time.monotonic() - wall_s,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("by", choices=["polls", "direct"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    options = parser.parse_args()
    found = poll if options.by == "polls" else read_directly
    json.dump(asdict(read_all(found, options.port, options.streams, options.tokens, options.warm_up)), sys.stdout)
