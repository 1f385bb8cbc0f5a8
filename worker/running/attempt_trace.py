"""The trace of one attempt: how long its job waited, the attempt itself, and each call of a provider in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tokentail.jobs.job import Claim
from tokentail.telemetry.spans import NO_SPAN, NoTracing, Span, Tracing
from worker.chunk import ProviderFailure
from worker.running.deadlines import DeadlinePassed
from worker.upstream.provider import HttpCall
from worker.upstream.seams import Answer, Transport


class AttemptTrace:
    """Belongs to one attempt. Its spans hang on that of the submission, whose name is in the job's record."""

    def __init__(
        self, tracing: Tracing | None = None, job_id: str = "", worker: str = "", claim: Claim | None = None
    ) -> None:
        self._tracing = tracing or NoTracing()
        self._model = claim.model if claim else ""
        self._attempt: Span = NO_SPAN
        if claim is not None:
            about: dict[str, str | int] = {"job_id": job_id, "attempt": claim.attempts}
            self._tracing.begin("queue", "internal", claim.trace, claim.queued_at_ms, **about).end()
            self._attempt = self._tracing.begin("attempt", "consumer", claim.trace, None, **about, worker=worker)

    def ended(self, outcome: str, provider: str, tokens: int) -> None:
        """The attempt is over; `outcome` is the runner's word for operators."""
        fault = "" if outcome == "completed" else outcome.removeprefix("failed: ")
        self._attempt.end(fault, outcome=outcome, provider=provider, tokens=tokens)

    @contextmanager
    def call(self, provider: str) -> Iterator[Span]:
        """One call of a provider; what is raised within is a fault of the call, by its kind alone."""
        facts = {"gen_ai__operation__name": "chat", "gen_ai__request__model": self._model}
        parent = self._attempt.traceparent
        span = self._tracing.begin("call", "client", parent, None, **facts, provider=provider) if parent else NO_SPAN
        try:
            yield span
        except (ProviderFailure, DeadlinePassed) as error:
            span.end(str(error.failure.kind))
            raise
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        span.end()


class TracedTransport:
    """A transport that tells the provider of the span to which its calls belong."""

    def __init__(self, transport: Transport, traceparent: str) -> None:
        self._transport = transport
        self._traceparent = traceparent

    def send(self, call: HttpCall) -> Answer:
        """Send the call with a `traceparent`, in the place of one from the settings."""
        others = {name: value for name, value in call.headers.items() if name.lower() != "traceparent"}
        return self._transport.send(replace(call, headers={**others, "traceparent": self._traceparent}))
