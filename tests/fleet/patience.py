"""Waiting for a condition, with a deadline, without blocking the event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
    """Return as soon as `condition` holds. Raises TimeoutError, which names `what`."""
    deadline = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.05)
