"""The read plane without a process: its loop in a thread, a real socket on loopback, all of Flask behind it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Self, TypeVar

import uvloop
from uvicorn.server import ServerState

from app.serving.server import ReadPlane, wire_read_plane
from app.wiring import Calls
from tokentail.log.cursor import BEGINNING
from tokentail.redis.async_cluster import AsyncCluster
from tokentail.redis.client import connect_async

Result = TypeVar("Result")

_TRY_S = 0.9  # as the web process has it


class LoopThread:
    """One event loop, and the thread that runs it."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="loop", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.close()  # here, since the oldest uvloop may wait in it for a handle that never closes

    def run(self, coroutine: Coroutine[Any, Any, Result], within_s: float = 20.0) -> Result:
        """What the coroutine returns, or raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(within_s)

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What the function returns, called on the loop."""

        async def called() -> Result:
            return function(*arguments)

        return self.run(called())


class LoopbackPlane:
    """One web process's read plane on a port of loopback, until it is closed. Its answers carry no Date. Heads and
    bodies may take `slowest_s`, if that is given."""

    def __init__(self, loop_thread: LoopThread, calls: Calls, redis_url: str, slowest_s: float | None = None) -> None:
        self._loop_thread = loop_thread
        self._redis = connect_async(redis_url, _TRY_S)
        self._state = ServerState()
        wire = wire_read_plane
        if slowest_s is not None:
            wire = partial(wire, head_within_s=slowest_s, body_within_s=slowest_s)
        self.wired: ReadPlane = loop_thread.call(wire, calls, self._redis)
        self.port: int = loop_thread.run(self._open())

    async def _open(self) -> int:
        config = self.wired.config
        config.load()
        protocol: Any = config.http_protocol_class

        def connected() -> Any:
            return protocol(config=config, server_state=self._state, app_state={})

        is_cluster = isinstance(self._redis, AsyncCluster)  # it connects with the first job
        subscribers = 0 if is_cluster else await self._subscribers()
        self._following = asyncio.create_task(self.wired.hub.run())
        self._server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
        while not is_cluster and await self._subscribers() == subscribers:  # each look is a round trip
            pass
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _subscribers(self) -> int:
        counted = await self._redis.pubsub_numsub("tt:alive")
        return int(counted[0][1])

    @property
    def connections(self) -> int:
        """How many are open, as far as the server knows."""
        return self._loop_thread.call(lambda: len(self._state.connections))

    def has_heard(self, job_id: str, length: int) -> bool:
        """Whether a poll of the job is answered from all of a log of this length, if need be by asking Redis."""
        batch = self._loop_thread.call(self.wired.hub.tails.read_now, job_id, BEGINNING, 1)
        return batch is None or batch.length >= length

    def is_live(self, job_id: str) -> bool:
        """Whether the process has all news of the job from its subscription."""
        return self._loop_thread.call(self.wired.hub.tails.is_live, job_id)

    def end_waits(self) -> None:
        """No reader waits any more."""
        self._loop_thread.call(self.wired.hub.end)

    def close(self) -> None:
        self._loop_thread.run(self._close())

    async def _close(self) -> None:
        self._server.close()
        self.wired.hub.end()
        for connection in list(self._state.connections):
            connection.shutdown()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._redis.aclose(close_connection_pool=True)
        self.wired.close()


class OverSocket:
    """A WSGI application that asks a server on loopback, so that werkzeug's test client can speak to it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        method, target = environ["REQUEST_METHOD"], environ["RAW_URI"]
        if "?" not in target and environ["QUERY_STRING"]:
            target = f"{target}?{environ['QUERY_STRING']}"
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in environ.items():
            if name.startswith("HTTP_"):
                connection.putheader(name.removeprefix("HTTP_").replace("_", "-").title(), value)
        if "CONTENT_TYPE" in environ:
            connection.putheader("Content-Type", environ["CONTENT_TYPE"])
        body = environ["wsgi.input"].read()
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        if not is_chunked and (body or method in {"POST", "PUT", "PATCH"}):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders([body] if is_chunked else body, encode_chunked=is_chunked)
        response = connection.getresponse()
        start_response(f"{response.status} {response.reason}", response.getheaders())
        if response.chunked:
            return _Stream(connection, response)
        with closing(connection):
            return [response.read()]


class _Stream:
    """What comes, as it comes; closing it hangs up."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._connection = connection
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        while part := self._response.read1(65536):
            yield part
        self.close()

    def close(self) -> None:
        with closing(self._connection):
            self._response.close()
