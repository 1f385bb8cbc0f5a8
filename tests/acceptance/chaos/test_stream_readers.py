"""The readers of streams themselves: they reconnect at their cursor, and they report each fault that they must see."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.acceptance.chaos.marked_token import MarkedToken, answer_text
from tests.acceptance.chaos.stream_readers import follow_events, follow_frames
from tests.acceptance.chaos.view import View
from tests.acceptance.chaos.violation import Violation

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_STOP = b"HTTP/1.1 204 No Content\r\n\r\n"
_LAST = b"0\r\n\r\n"


class _Patient(Random):
    """Never leaves by itself."""

    def random(self) -> float:
        return 0.6


def body(*places: int, cursor: str, done: bool = False) -> dict[str, Any]:
    """A poll's answer with these tokens of job 7's first call."""
    tokens = [MarkedToken(7, 1, place).text for place in places]
    status = "completed" if done else "running"
    return {"job_id": "j", "status": status, "tokens": tokens, "cursor": cursor, "reset": False, "done": done}


def chunk(event: str) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event.encode())


def event(content: dict[str, Any], event_id: str = "") -> bytes:
    return chunk(f"data: {json.dumps(content)}\nid: {event_id or content['cursor']}\n\n")


def told_by_events(*answers: bytes) -> tuple[View, list[str]]:
    """What a reader has who gets one of these answers each time that it comes; and the place each time asked for."""
    asked: list[str] = []
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = re.search(r"cursor=(\S+?)[& ]|Last-Event-ID: (\S+)", head)
        assert found
        asked.append(found[1] or found[2])
        writer.write(left.pop(0))
        writer.close()

    async def run(view: View) -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            await _followed(follow_events, server.sockets[0].getsockname()[1], view)

    view = View("j", 7, "sse", is_events=False)
    asyncio.run(run(view))
    return view, asked


def told_by_frames(*connections: list[dict[str, Any] | int]) -> tuple[View, list[str]]:
    """A reader's view of the given frames, one list for each connection (the closing code last), and its requests."""
    asked: list[str] = []
    left = list(connections)

    async def answer(socket: ServerConnection) -> None:
        assert socket.request is not None
        asked.append(socket.request.path.partition("cursor=")[2].partition("&")[0])
        for frame in left.pop(0):
            if isinstance(frame, int):
                await socket.close(frame)
            else:
                await socket.send(json.dumps(frame))

    async def run(view: View) -> None:
        async with serve(answer, "127.0.0.1", 0) as server:
            await _followed(follow_frames, next(iter(server.sockets)).getsockname()[1], view)

    view = View("j", 7, "ws", is_events=False)
    asyncio.run(run(view))
    return view, asked


async def _followed(follow: Callable[[int, View, Random], Awaitable[None]], port: int, view: View) -> None:
    async with asyncio.timeout(10):
        await follow(port, view, _Patient(1))


def test_an_event_stream_that_is_cut_is_taken_up_where_it_was() -> None:
    """Cut in the middle of an event, ended early, refused for a while: the text is whole."""
    half = event(body(2, cursor="c3"))[:-12]
    view, asked = told_by_events(
        _HEAD + chunk("retry: 1000\n") + event(body(0, 1, cursor="c2")) + chunk(":\n") + half,
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        _HEAD + chunk("retry: 1000\n") + event(body(2, cursor="c3")) + chunk(":\n") + _LAST,
        _HEAD + chunk("retry: 1000\n") + event(body(3, cursor="c5", done=True)) + _LAST,
    )
    assert (view.status, view.text) == ("completed", answer_text(7, 1, 4))
    assert asked == ["0", "c2", "c2", "c3"]


def test_frames_that_are_cut_are_taken_up_where_they_were() -> None:
    """The process stops, or too many wait: the next connection goes on."""
    view, asked = told_by_frames([body(0, 1, cursor="c2"), 1001], [4429], [body(2, cursor="c4", done=True), 1000])
    assert (view.status, view.text) == ("completed", answer_text(7, 1, 3))
    assert asked == ["0", "c2", "c2"]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (_HEAD + event(body(0, cursor="c1"), event_id="c2"), "its cursor c1"),
        (_HEAD + chunk("retry: 1000\n") + chunk("data: ") + _LAST, "middle of an event"),
        (_HEAD + event(body(0, cursor="c1")) + chunk(":\ndata: {}\n") + _LAST, "middle of an event"),
        (_HEAD + event(body(1, cursor="c1")), "gap"),
        (_STOP, "has not seen the end"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "status 500"),
    ],
)
def test_a_faulty_event_stream_is_told(answer: bytes, fault: str) -> None:
    """Ids that are not the cursor, a wrong beginning, half an event, a stop before the end."""
    with pytest.raises(Violation, match=fault):
        told_by_events(answer)


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ([body(0, cursor="c1"), 1000], "has not seen the end"),
        ([body(0, cursor="c1"), body(0, cursor="c2")], "twice or out of order"),
        ([1008], "closed with 1008"),
    ],
)
def test_a_faulty_socket_is_told(frames: list[dict[str, Any] | int], fault: str) -> None:
    """An end that was not sent, a token twice, a code that the protocol has no reason for."""
    with pytest.raises(Violation, match=fault):
        told_by_frames(frames)
