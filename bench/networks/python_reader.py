"""A reader by the Python client: it follows one job, and notes when tokens come and when requests are made."""

import time
from dataclasses import dataclass, field
from typing import Any

import requests

from bench.program import answer
from tokentail.client import Client
from tokentail.errors import TokentailError


@dataclass
class Found:
    """Times of `time.monotonic`, which all processes of a machine share."""

    began: float = 0.0
    arrived: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    failure: str | None = None


class _NotedSession(requests.Session):
    """A session that notes when a request begins, and sends none after `most_s`."""

    def __init__(self, found: Found, most_s: float) -> None:
        super().__init__()
        self._found = found
        self._until = time.monotonic() + most_s

    def request(self, *args: Any, **options: Any) -> requests.Response:
        if (now := time.monotonic()) > self._until:
            raise KeyboardInterrupt  # which no client takes for an outage
        self._found.asked.append(now)
        return super().request(*args, **options)


def follow(url: str, job: str, wait_s: float, transport: str, most_s: float) -> Found:
    """What one reader saw of the job, within `most_s` or a little more."""
    found = Found(time.monotonic())
    try:
        with Client(url, wait_s=wait_s, session=_NotedSession(found, most_s)) as client:
            for update in client.follow(job, transport=transport):  # type: ignore[arg-type]
                found.arrived += [time.monotonic()] * len(update.tokens)
                if time.monotonic() > found.began + most_s:
                    break
    except TokentailError as error:
        found.failure = str(error)
    except KeyboardInterrupt:
        found.failure = "out of time"
    return found


if __name__ == "__main__":
    answer(follow)
