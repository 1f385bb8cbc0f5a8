"""Spans: what a trace is made of, as those who begin and end them see it. Pure; `tracing.py` opens the real ones.

A span has names, times and counts; never a prompt, a text, a key or a client's own words.
"""

from typing import Literal, Protocol

Kind = Literal["server", "internal", "consumer", "client"]


class Span(Protocol):
    """One piece of work under way."""

    traceparent: str  # W3C Trace Context, for what this work causes; "" when nothing is traced

    def note(self, event: str) -> None:
        """Something happened now."""
        ...

    def end(self, fault: str = "", **facts: str | int) -> None:
        """The work is over; `fault` is the kind of what went wrong, never its text. Only the first call counts."""
        ...


class Tracing(Protocol):
    """Where spans are begun."""

    def begin(self, name: str, kind: Kind, parent: str, since_ms: int | None = None, **facts: str | int) -> Span:
        """A span that begins now or began at `since_ms`; `parent` is a `traceparent`, and may be garbage or ""."""
        ...

    def stop(self) -> None:
        """Send what was not sent yet."""
        ...


class _NoSpan:
    traceparent = ""

    def note(self, event: str) -> None: ...
    def end(self, fault: str = "", **facts: str | int) -> None: ...


NO_SPAN: Span = _NoSpan()


class NoTracing:
    """Traces nothing."""

    def begin(self, name: str, kind: Kind, parent: str, since_ms: int | None = None, **facts: str | int) -> Span:
        return NO_SPAN

    def stop(self) -> None: ...
