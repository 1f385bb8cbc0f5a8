"""Provider calls: they get one job its answer. A call that failed is repeated or resumed where that may help.

The runner decides what becomes of the job; here is only what passes between its attempt and the provider.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import msgspec

from tokentail.config.settings import Settings
from tokentail.identifiers import new_generation
from tokentail.jobs.call_record import parse_call_record
from tokentail.jobs.job import Failure
from tokentail.jobs.request import GenerationRequest
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import now_ms
from tokentail.redis.store import Store
from tokentail.telemetry.spans import Span
from worker.chunk import BegunAnew, PositionLost, ProviderFailure
from worker.meters import Meters
from worker.running.attempt import Attempt
from worker.running.attempt_trace import TracedTransport
from worker.running.deadlines import DeadlinePassed, Deadlines
from worker.running.generation import Generation
from worker.running.group_commit import GroupCommit
from worker.running.retries import Retries
from worker.running.sending import SendingApart
from worker.upstream.provider import KeepingProvider, Provider, ResumableProvider
from worker.upstream.seams import Transport
from worker.upstream.source import cancel_upstream, open_chunks

log = logging.getLogger(__name__)

_CANCEL_S = 10.0  # for telling a provider to stop
_READ_AT_ONCE = 5000  # elements


class ProviderCalls:
    """Calls providers for all jobs of this process."""

    def __init__(
        self, settings: Settings, transport: Transport, store: Store, commit: GroupCommit, meters: Meters
    ) -> None:
        self._settings = settings
        self._transport = SendingApart(transport)
        self._store = store
        self._commit = commit
        self._meters = meters

    def answer(
        self,
        attempt: Attempt,
        writer: LogWriter,
        generation: Generation,
        deadlines: Deadlines,
        request: GenerationRequest,
        provider: Provider,
    ) -> None:
        """Call the provider until it has given a whole answer, or may not be called again."""
        model = str(request.model)
        retries = Retries(self._settings.retries)
        position = writer.upstream if writer.upstream and isinstance(provider, ResumableProvider) else ""
        if position:
            log.info("job.resumed", extra={"job_id": writer.job_id})
        while True:
            (generation.go_on if position else generation.begin)(new_generation(), provider.name, model)
            _note_call(writer, provider)
            self._commit.push(writer)
            try:
                deadlines.call_began()
                with attempt.trace.call(provider.name) as span:
                    self._stream(
                        attempt,
                        writer,
                        generation,
                        deadlines,
                        request,
                        provider,
                        position,
                        span=span,
                        is_stored=retries.is_stored,
                    )
                return
            except ProviderFailure as failure:
                delay_s = retries.delay_s(failure, deadlines.left_s, is_kept=_is_kept(writer, provider))
                self._note_failure(failure, delay_s, writer, generation, provider)
                if delay_s is None:
                    raise
            except DeadlinePassed as passed:
                if generation.is_finished:
                    raise
                self._meters.call_failed(provider.name, passed.failure.kind)
                _note_error(writer, passed.failure)
                if passed.is_of_whole or not _is_kept(writer, provider):
                    self.cancel(writer, provider)
                    raise
                # The answer goes on without us.
                attempt.withdraw(DeadlinePassed)
                delay_s = retries.delay_after_silence_s(writer.upstream)
                log.info("job.silent", extra={"job_id": writer.job_id, "is_stored": retries.is_stored})
            position = writer.upstream
            deadlines.pause()
            gevent.sleep(delay_s)

    def _note_failure(
        self,
        failure: ProviderFailure,
        delay_s: float | None,
        writer: LogWriter,
        generation: Generation,
        provider: Provider,
    ) -> None:
        """Log and count a failure after which the next call comes in `delay_s`; give up an answer that is lost."""
        if delay_s != 0:  # else it is no failed call: the answer goes on in another, or a position was lost
            self._meters.call_failed(provider.name, failure.failure.kind)
            _note_error(writer, failure.failure)
            generation.note_failed_call(failure)
        if delay_s is None or isinstance(failure, PositionLost):
            self.cancel(writer, provider)  # it may go on all the same
            if isinstance(failure, PositionLost):
                writer.upstream = ""
        if delay_s is None:
            return
        if delay_s:
            facts = {"job_id": writer.job_id, "provider": provider.name, "error": failure.failure.kind}
            log.info("job.retried", extra={**facts, "delay_s": round(delay_s, 2)})
            self._meters.call_retried(provider.name)
        elif isinstance(failure, PositionLost):
            log.info("job.position_lost", extra={"job_id": writer.job_id})
        else:
            log.info("job.answer_goes_on", extra={"job_id": writer.job_id})

    def cancel(self, writer: LogWriter, provider: Provider) -> None:
        """Stop an answer that would go on at the provider without us, as far as the provider can be reached."""
        if not writer.upstream:
            return
        try:
            with gevent.Timeout(_CANCEL_S):
                cancel_upstream(provider, writer.upstream, self._transport)
        except (ProviderFailure, DeadlinePassed, gevent.Timeout) as error:
            log.warning("job.upstream_not_cancelled", extra={"job_id": writer.job_id, "error": type(error).__name__})
            if isinstance(error, DeadlinePassed):
                raise

    def _stream(
        self,
        attempt: Attempt,
        writer: LogWriter,
        generation: Generation,
        deadlines: Deadlines,
        request: GenerationRequest,
        provider: Provider,
        position: str,
        *,
        span: Span,
        is_stored: bool,
    ) -> None:
        model, traceparent = str(request.model), span.traceparent
        source = open_chunks(
            provider,
            request,
            model,
            TracedTransport(self._transport, traceparent) if traceparent else self._transport,
            gevent.sleep,
            resume_from=position,
            shown=lambda: self._shown(writer) if generation.is_shown else (),
            is_shown=generation.is_shown,
            is_stored=is_stored,
            aside=attempt.aside,
        )
        began_at: float | None = time.monotonic()  # None once the first content has come
        self._meters.call_began(provider.name)
        try:
            with source as answer:
                for chunks in answer:
                    if isinstance(chunks[0], BegunAnew):
                        generation.begin(new_generation(), provider.name, model)
                    is_content = generation.take(chunks)
                    self._commit.push(writer)
                    if is_content:
                        if began_at is not None:
                            self._first_content(attempt, provider, time.monotonic() - began_at)
                            span.note("first token")
                            began_at = None
                        deadlines.pause()
                        self._commit.wait_for_room(writer)
                        deadlines.content_came()
                    else:
                        deadlines.sign_of_life_came()
        finally:
            self._meters.call_ended(provider.name)

    def _shown(self, writer: LogWriter) -> Iterator[Any]:
        """The elements of the answer that readers have been given, earlier attempts' included."""
        self._commit.flush(writer)
        cursor = BEGINNING
        while True:
            batch = self._store.read(writer.job_id, cursor, _READ_AT_ONCE)
            yield from map(decode, batch.elements)
            if not batch.has_more:
                return
            cursor = batch.cursor

    def _first_content(self, attempt: Attempt, provider: Provider, after_s: float) -> None:
        self._meters.first_token(provider.name, after_s)
        if attempt.awaited_since_ms is not None:
            self._meters.job_first_token(provider.name, max(now_ms() - attempt.awaited_since_ms, 0) / 1000)
            attempt.awaited_since_ms = None


def _note_call(writer: LogWriter, provider: Provider) -> None:
    """Put a call that begins into the job's call record."""
    known = parse_call_record(writer.calls)
    address: str = getattr(provider, "address", "")  # of an HttpProvider, for which isinstance takes long
    noted = msgspec.structs.replace(known, provider=provider.name, address=address, calls=known.calls + 1)
    writer.calls = noted.encoded()


def _note_error(writer: LogWriter, failure: Failure) -> None:
    """Put the failure of a call into the job's call record."""
    status = f", status {failure.provider_status}" if failure.provider_status else ""
    error = f"{failure.kind}{status}"  # without the provider's words: a record outlives its job's content
    writer.calls = msgspec.structs.replace(parse_call_record(writer.calls), error=error).encoded()


def _is_kept(writer: LogWriter, provider: Provider) -> bool:
    """Whether the answer goes on at the provider, and can be asked for."""
    return bool(writer.upstream) and isinstance(provider, KeepingProvider)
