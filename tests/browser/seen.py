"""What a page has received so far; see page.js."""

import json
from functools import partial
from typing import Any

from playwright.sync_api import Page

from tests.waiting import eventually

soon = partial(eventually, within_s=20)  # a browser on a busy machine takes its time


def events(page: Page) -> list[dict[str, str]]:
    """The events of its EventSource: `id` and `data`."""
    found: list[dict[str, str]] = page.evaluate("seen.events")
    return found


def streamed_text(page: Page) -> str:
    """The text in the poll bodies that the page's EventSource received."""
    return text_of(json.loads(event["data"]) for event in events(page))


def raw_text(page: Page) -> str:
    """The text of its EventSource on /stream, without the marker at the end."""
    return "".join(event["data"] for event in events(page) if event["data"] != "[DONE]")


def framed_text(page: Page) -> str:
    """The text in the frames of its WebSocket."""
    return text_of(page.evaluate("seen.frames"))


def polled_text(page: Page) -> str:
    """The text in the answers to its polls."""
    return text_of(page.evaluate("seen.answers"))


def ready_state(page: Page) -> int:
    """The state of the page's EventSource: 0 connecting, 1 open, 2 closed for good."""
    state: int = page.evaluate("source.readyState")
    return state


def text_of(polls: Any) -> str:
    """The text of a reader that obeys `reset`."""
    text = ""
    for poll in polls:
        text = ("" if poll["reset"] else text) + "".join(poll["tokens"])
    return text
