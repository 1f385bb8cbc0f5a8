"""The limit of ingest: a worker's greenlets that only read and parse. `python -m bench.ingest_reader {…}`

Transport, SSE decoder and provider's parser are the worker's own, in a process patched like it; there is no log, no
Redis and no deadline. Prints one JSON object: what was read while all streams were open, after a warm-up.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import time  # noqa: E402
from itertools import count  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from bench.proc import rss_bytes  # noqa: E402
from bench.program import answer  # noqa: E402
from tokentail.jobs.request import GenerationRequest  # noqa: E402
from worker.dialects.openai.chat import OpenAiChat  # noqa: E402
from worker.upstream.source import open_chunks  # noqa: E402
from worker.upstream.transport import HttpTransport  # noqa: E402

_TIMEOUT_S = 60.0
_SAMPLED = 10  # one stream in ten is timed


class Reading:
    """What all streams read."""

    def __init__(self) -> None:
        self.open_streams = 0
        self.tokens = 0
        self.latencies_ns: list[int] = []

    def read(self, provider: OpenAiChat, request: GenerationRequest, transport: HttpTransport, place: int) -> None:
        """One stream, until it is killed."""
        is_timed = place % _SAMPLED == 0
        with open_chunks(provider, request, str(request.model), transport, gevent.sleep) as answer:
            self.open_streams += 1
            for chunks in answer:
                texts = [chunk for chunk in chunks if isinstance(chunk, str)]
                self.tokens += len(texts)
                if is_timed:
                    now_ns = time.monotonic_ns()
                    self.latencies_ns += [now_ns - int(text) for text in texts]


def _run(port: int, model: str, streams: int, warm_up_s: float, measured_s: float, core: int) -> dict[str, Any]:
    os.sched_setaffinity(0, {core})
    provider = OpenAiChat("openai/*", f"http://127.0.0.1:{port}/v1", "")
    transport = HttpTransport(connections=streams, connect_timeout_s=_TIMEOUT_S, read_timeout_s=None)
    request = GenerationRequest(prompt="x", model=f"openai/{model}")
    reading = Reading()
    idle_bytes = rss_bytes(os.getpid())
    greenlets = [gevent.spawn(reading.read, provider, request, transport, i) for i in range(streams)]
    with gevent.Timeout(_TIMEOUT_S):
        for _ in count():
            if reading.open_streams == streams:
                break
            gevent.sleep(0.01)
    gevent.sleep(warm_up_s)
    rss = rss_bytes(os.getpid())
    reading.latencies_ns.clear()
    tokens, cpu_s, wall_s = reading.tokens, time.process_time(), time.monotonic()
    gevent.sleep(measured_s)
    found = {
        "tokens": reading.tokens - tokens,
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.monotonic() - wall_s,
        "stream_bytes": (rss - idle_bytes) / streams,
        "latencies_ns": reading.latencies_ns,
    }
    if any(greenlet.dead for greenlet in greenlets):
        raise RuntimeError("a stream ended early")
    return found


if __name__ == "__main__":
    answer(_run)
    os._exit(0)  # the streams would go on
