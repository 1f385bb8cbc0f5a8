"""The bare web process: uvicorn as ours is set, around an application of one line. `python -m bench.bare_web {…}`.

`/fixed/N` is answered with N bytes, `/parked` when somebody asks for `/wake`: with the time of that, as a token of our
upstream would have it. It is what an ASGI application can reach at most.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from bench.program import arguments

Message = MutableMapping[str, Any]


_parked: "set[asyncio.Future[bytes]]" = set()


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """One answer."""
    body = await _body(scope["path"])
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(path: str) -> bytes:
    if path == "/parked":
        waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        _parked.add(waiter)
        return await waiter
    if path == "/wake":
        token = b'" %d"' % time.monotonic_ns()
        waiters = [*_parked]
        _parked.clear()
        for waiter in waiters:
            waiter.set_result(token)
        return b"{}"
    return b"x" * int(path.rpartition("/")[2])


def _run(port: int) -> None:
    # As in app/serving/server.py.
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=120,  # the connection that asks for /wake rests while thousands of others are opened
    )
    uvicorn.Server(config).run([socket.create_server(("127.0.0.1", port), backlog=2048)])


if __name__ == "__main__":
    _run(**arguments())
