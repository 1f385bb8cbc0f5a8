"""The parameter `since`: from which moment on jobs are asked for. Pure."""

import re
from datetime import datetime

from tokentail.errors import Fault

SINCE_FAULT = Fault("since", "is neither a time such as 2026-01-31T12:00:00Z nor an age such as 15m, 2h, 7d")
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def since_ms(text: str, now_ms: int) -> int | None:
    """Unix milliseconds of an age, a date in UTC, or a time by RFC 3339 with its offset; None for other text.

    The + of an offset comes as a space where a client did not encode it.
    """
    if ago := _AGO.fullmatch(text):
        return max(now_ms - int(ago[1]) * _UNIT_MS[ago[2]], 0)
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else f"{text}T00:00:00+00:00")
        return None if moment.tzinfo is None else max(int(moment.timestamp() * 1000), 0)
    except (ValueError, OverflowError):
        return None
