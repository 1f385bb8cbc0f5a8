"""SSE clients of Python, each as its own documentation shows it: `python iterators.py NAME URL`.

Prints a line of JSON for each event that the client passes on, and for an error. Ends when the client's iterator ends.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

WITHIN_S = 35


def sseclient_py(url: str) -> Iterator[str]:
    import requests

    sseclient: Any = import_module("sseclient")
    response = requests.get(url, stream=True, headers={"Accept": "text/event-stream"}, timeout=WITHIN_S)
    for event in sseclient.SSEClient(response).events():
        yield event.data


def sseclient_old(url: str) -> Iterator[str]:
    sseclient: Any = import_module("sseclient")  # another package with the same name
    for event in sseclient.SSEClient(url, timeout=WITHIN_S):
        yield event.data


def httpx_sse(url: str) -> Iterator[str]:
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client(timeout=WITHIN_S) as client, connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            yield event.data


def requests_sse(url: str) -> Iterator[str]:
    from requests_sse import EventSource

    with EventSource(url, timeout=WITHIN_S) as source:
        for event in source:
            yield event.data


def aiohttp_sse_client2(url: str) -> Iterator[str]:
    from aiohttp_sse_client2.client import EventSource

    async def read() -> None:
        async with EventSource(url) as source:
            async for event in source:
                show(event.data)

    asyncio.run(read())
    yield from ()


def launchdarkly_eventsource(url: str) -> Iterator[str]:
    from ld_eventsource import SSEClient

    with SSEClient(url) as source:
        for event in source.events:
            yield event.data


def launchdarkly_eventsource_on(url: str) -> Iterator[str]:
    from ld_eventsource import SSEClient
    from ld_eventsource.config import ErrorStrategy

    with SSEClient(url, error_strategy=ErrorStrategy.always_continue()) as source:
        for event in source.events:
            yield event.data


def niquests(url: str) -> Iterator[str]:
    import niquests as client

    accept = {"Accept": "text/event-stream"}  # which it does not send by itself
    response = client.get(url.replace("http://", "psse://"), headers=accept, timeout=WITHIN_S)
    while not response.extension.closed:
        event = response.extension.next_payload()
        if event is not None:
            yield event.data


CLIENTS: dict[str, Callable[[str], Iterator[str]]] = {
    "sseclient-py": sseclient_py,
    "sseclient": sseclient_old,
    "httpx-sse": httpx_sse,
    "requests-sse": requests_sse,
    "aiohttp-sse-client2": aiohttp_sse_client2,
    "launchdarkly": launchdarkly_eventsource,
    "launchdarkly: always_continue": launchdarkly_eventsource_on,
    "niquests": niquests,
}


def show(content: str) -> None:
    print(json.dumps({"data": content}), flush=True)


def main() -> int:
    """Read the stream with one client, to its end by the client's own rules."""
    name, url = sys.argv[1:]
    try:
        for content in CLIENTS[name](url):
            show(content)
    except Exception as error:
        print(json.dumps({"error": type(error).__name__}), flush=True)
        return 1
    print(json.dumps({"end": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
