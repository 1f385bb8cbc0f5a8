"""The headers that tell what is left of a key's limits, in the words and the form of OpenAI's. Pure."""

from tokentail.jobs.api_key import Allowance


def rate_headers(allowance: Allowance) -> dict[str, str]:
    """The headers of the limits that the key has."""
    headers: dict[str, str] = {}
    for name, left in (("requests", allowance.requests), ("tokens", allowance.tokens)):
        if left is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(left.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(left.remaining)
            headers[f"x-ratelimit-reset-{name}"] = duration(left.reset_ms)
    return headers


def duration(ms: int) -> str:
    """A duration as Go writes it, which is OpenAI's form: `12ms`, `59.5s`, `6m0s`, `20h14m3s`."""
    if ms < 1000:
        return f"{ms}ms"
    seconds, rest_ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest_ms:03}".rstrip("0") if rest_ms else ""
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{seconds}{fraction}s"
