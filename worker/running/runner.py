"""The runner: takes jobs and sees each to its end, many at once in one process.

Every job it claims ends here (completed or failed), is lost to another attempt, or is handed over. It knows neither
RQ, whose worker calls `run`, nor Redis.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import gevent
import msgspec
from gevent.pool import Pool

from tokentail.config.settings import Settings
from tokentail.errors import (
    AttemptLost,
    JobGone,
    JobNotFound,
    LaterFormat,
    StoreFull,
    StoreUnavailable,
    SuspectedJob,
    Unreadable,
)
from tokentail.jobs.job import Claim, Failure, FailureKind, Usage
from tokentail.jobs.request import DEFAULT_TIMEOUTS, GenerationRequest
from tokentail.jobs.spending import Spent, input_estimate, output_estimate, spent_by
from tokentail.log.writer import LogWriter
from tokentail.redis.backend import Backend, now_ms
from tokentail.telemetry.log_lines import facts_of
from tokentail.telemetry.spans import Tracing
from worker.chunk import ProviderFailure
from worker.dialects.registry import Registry
from worker.meters import Meters, NoMeters
from worker.running.attempt import Attempt, HandedOver
from worker.running.attempt_trace import AttemptTrace
from worker.running.deadlines import DeadlinePassed, Deadlines
from worker.running.generation import Generation
from worker.running.group_commit import GroupCommit
from worker.running.provider_calls import ProviderCalls
from worker.running.shared_trips import SharedTrips
from worker.running.suspects import Suspects
from worker.upstream.provider import Provider
from worker.upstream.seams import Transport

log = logging.getLogger(__name__)

_HAND_OVER_S = 20.0  # for giving all jobs back; a Redis that hangs must not keep the process
_AT_ONCE = 32  # jobs given back at a time
_RETRY_S = 0.5  # between tries at a store that does not answer


class Runner:
    """The jobs that this process holds."""

    def __init__(
        self,
        worker: str,
        settings: Settings,
        backend: Backend,
        registry: Registry,
        transport: Transport,
        meters: Meters | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.worker = worker
        self._settings = settings
        self._backend = backend
        self._registry = registry
        self._meters = meters or NoMeters()
        self._tracing = tracing
        self._held: dict[str, Attempt] = {}  # by its token: a job that we lost may be ours again, as another attempt
        self._suspects = Suspects(settings.worker_concurrency, settings.max_losses)
        self.ended = 0  # jobs that were seen to their end here
        self._commit = GroupCommit(backend.store, now_ms, self._writer_lost, self._meters)
        store = backend.store
        self._claims = SharedTrips(self._claim_many, lambda claim: store.node_of(claim[0]))
        self._departures = SharedTrips(self._count_out)
        self._calls = ProviderCalls(settings, transport, store, self._commit, self._meters)

    @property
    def attempts(self) -> list[str]:
        """The tokens of the attempts under way."""
        return list(self._held)

    def jobs_of(self, provider: str) -> int:
        """How many jobs are held for that provider; "" stands for jobs without a provider."""
        return sum(attempt.provider == provider for attempt in self._held.values())

    def commit_forever(self) -> None:
        """The group commit; run it in a greenlet of its own."""
        self._commit.run()

    def run(self, job_id: str) -> str:
        """See the job to its end, in the calling greenlet; what became of it, in a word for operators."""
        attempt = Attempt(job_id)
        try:
            claim = self._claim(attempt)
            if claim is None:
                return "refused"  # closed before its turn, or somebody else has it, or it must wait
            writer, claim = attempt.claimed(claim), replace(claim, request=b"")  # which the attempt has
            return self._hold(attempt, writer, claim)
        finally:
            self._suspects.leave(attempt.token)

    def _hold(self, attempt: Attempt, writer: LogWriter, claim: Claim) -> str:
        job_id = attempt.job_id
        self._held[attempt.token] = attempt
        attempt.trace = AttemptTrace(self._tracing, job_id, self.worker, claim)
        about = {
            "job_id": job_id,
            "owner": claim.owner,
            "user": claim.user_digest,
            "model": claim.model,
            "worker": self.worker,
        }
        log.info("job.claimed", extra={**about, "attempts": claim.attempts})
        try:
            with attempt:
                outcome = self._see_to_end(attempt, writer)
        except (AttemptLost, Unreadable) as error:
            if isinstance(error, Unreadable):
                self._close_spoilt(job_id, error)
            provider = None if attempt.request is None else self._provider_of(attempt.request)
            outcome = "closed" if self._cancel_unless_taken_over(writer, provider) else "lost"
        except HandedOver:
            outcome = "handed over"
        except Exception as error:
            # Our lease will not name the attempt any more, so the sweep takes the job back and counts it as lost:
            # another try comes later, perhaps elsewhere, and there is a last one.
            log.error("job.dropped", extra={"job_id": job_id, **facts_of(error)})
            outcome = "dropped"
        finally:
            del self._held[attempt.token]
        self._meters.job_left(attempt.provider, outcome)
        attempt.trace.ended(outcome, attempt.provider, writer.token_count)
        facts = {"provider": attempt.provider, "outcome": outcome, "tokens": writer.token_count}
        log.info("job.left", extra={**about, **facts})
        if writer.is_ended and not writer.unsettled:
            self._commit.keep(writer, self._settings.lease_s)
            self.ended += 1
            self._leave(claim.owner, job_id, self._spent(attempt, writer))
        return outcome

    def _spent(self, attempt: Attempt, writer: LogWriter) -> Spent:
        """What the job cost: what its provider counted, and an estimate of the rest."""
        usage, came = writer.usage or Usage(), 0
        if usage.input_tokens is None and writer.shown_bytes and attempt.request is not None:
            came = attempt.aside(partial(input_estimate, attempt.request))
        end = {"status": writer.end_status, "usage": msgspec.to_builtins(usage)}
        return spent_by(end, came, output_estimate(writer.shown_bytes))

    def _claim(self, attempt: Attempt) -> Claim | None:
        most_losses = self._suspects.freely
        if self._backend.store.is_away(attempt.job_id):
            log.info("job.left_waiting", extra={"job_id": attempt.job_id, "losses": 0})
            return None  # the sweep puts it into the queue again when its node answers; until then others have the slot
        while True:
            try:
                return self._claims.run((attempt.job_id, attempt.token, most_losses))
            except SuspectedJob as suspect:
                most_losses = suspect.losses
                if not self._suspects.take(attempt.token, most_losses):
                    log.info("job.left_waiting", extra={"job_id": attempt.job_id, "losses": most_losses})
                    return None  # it is in no queue now: the sweep puts it there again, in some seconds
            except Unreadable as error:
                self._close_spoilt(attempt.job_id, error)
                return None
            except (StoreUnavailable, StoreFull):
                # It may have been claimed, and only the reply lost. The same attempt may ask again, and nobody else.
                gevent.sleep(_RETRY_S)

    def _claim_many(self, claims: Sequence[tuple[str, str, int]]) -> list[Claim | Exception | None]:
        return self._backend.store.claim_many(claims, self.worker, now_ms())

    def _see_to_end(self, attempt: Attempt, writer: LogWriter) -> str:
        request = attempt.decode_request()
        generation = Generation(writer, self._settings.max_log_bytes, request.max_tokens or None)
        of_model = self._registry.timeouts_of(str(request.model))
        deadlines = Deadlines(self._settings, request.timeouts or DEFAULT_TIMEOUTS, attempt.interrupt, of_model)
        try:
            if (provider := self._provider_of(request)) is None:
                raise ProviderFailure(Failure(FailureKind.REJECTED, "No worker serves this model any more."))
            attempt.provider = provider.name
            self._calls.answer(attempt, writer, generation, deadlines, request, provider)
            generation.complete()
            outcome = "completed"
        except (ProviderFailure, DeadlinePassed) as error:
            if isinstance(error, DeadlinePassed) and generation.is_finished:
                generation.complete()  # the body was held open after the model's last word
                outcome = "completed"
            else:
                generation.fail(error.failure)
                outcome = f"failed: {error.failure.kind}"
        except (AttemptLost, HandedOver, Unreadable):
            raise
        except Exception as error:
            log.error("job.crashed", extra={"job_id": attempt.job_id, **facts_of(error)})
            generation.fail(Failure(FailureKind.INTERNAL, f"The worker failed ({type(error).__name__})."))
            outcome = "failed: internal"
        finally:
            deadlines.close()
            # A deadline that passed in this very moment must not hit the answer's way into the store.
            attempt.withdraw(DeadlinePassed)
        self._commit.flush(writer)
        return outcome

    def _provider_of(self, request: GenerationRequest) -> Provider | None:
        return self._registry.provider_for(str(request.model))  # the web process has put in the full name

    def _cancel_unless_taken_over(self, writer: LogWriter, provider: Provider | None) -> bool:
        """Whether the job was closed rather than taken over; if so, stop an answer that would go on without us."""
        try:
            is_over = self._backend.store.view(writer.job_id).status.is_closed
        except (JobGone, JobNotFound):
            is_over = True  # deleted
        except (StoreUnavailable, Unreadable):
            is_over = False  # another worker may be about to take the answer up
        if is_over and provider is not None:
            self._calls.cancel(writer, provider)
        return is_over

    def _close_spoilt(self, job_id: str, error: Unreadable) -> None:
        """Bring a job of which a key cannot be read to its end; one of a later format is left to newer processes."""
        if isinstance(error, LaterFormat):
            log.info("job.left_to_newer", extra={"job_id": job_id})
            return
        try:
            self._backend.sweeper.close_spoilt(job_id)
        except (StoreUnavailable, StoreFull, Unreadable) as failure:
            # The sweep closes it.
            log.warning("job.not_closed", extra={"job_id": job_id, "error": type(failure).__name__})

    # -- from outside -------------------------------------------------------------------------------------------------

    def closed_elsewhere(self, job_id: str) -> None:
        """Somebody else closed the job: stop, and close its upstream."""
        for attempt in self._held.values():
            if attempt.job_id == job_id:
                attempt.interrupt(AttemptLost(AttemptLost.__doc__))

    def look_after_logs(self) -> None:
        """Have the store checked against all that this process wrote lately (law 8). Call it about once a second."""
        for attempt in self._held.values():
            if attempt.writer:
                self._commit.probe(attempt.writer)
        self._commit.probe_kept()  # a fail-over may take longer than a lease, and only then shows what was lost

    def hand_over(self) -> None:
        """Stop every job that is still held, and give it back to the queue at once."""
        held = list(self._held.values())
        for attempt in held:
            attempt.interrupt(HandedOver())
        with gevent.Timeout(_HAND_OVER_S, False):  # what is left then, other workers take when our lease has run out
            Pool(_AT_ONCE).map(self._give_back, held)

    def _give_back(self, attempt: Attempt) -> None:
        try:
            job = self._backend.store.view(attempt.job_id)
            enqueues = self._backend.store.requeue(job.id, attempt.token, job.enqueues, now_ms())
            if enqueues:
                self._backend.queue.enqueue(job.id, enqueues)
                log.info("job.given_back", extra={"job_id": job.id})
        except (JobNotFound, JobGone):
            log.info("job.gone", extra={"job_id": attempt.job_id})
        except (StoreUnavailable, StoreFull) as error:
            # The lease ends with the process, and the sweep gives the job to another.
            log.warning("job.give_back_failed", extra={"job_id": attempt.job_id, "error": str(error)})
        except Exception as error:  # one job must not keep the others from being given back
            log.warning("job.give_back_failed", extra={"job_id": attempt.job_id, "error": type(error).__name__})

    def _writer_lost(self, writer: LogWriter, error: Exception) -> None:
        if attempt := self._held.get(writer.attempt):
            attempt.interrupt(error)

    def _leave(self, owner: str, job_id: str, spent: Spent) -> None:
        try:
            self._departures.run((owner, job_id, spent))
        except (StoreUnavailable, StoreFull, Unreadable):
            log.warning("job.not_counted_out", extra={"job_id": job_id})  # the sweep does it

    def _count_out(self, departures: Sequence[tuple[str, str, Spent]]) -> list[None]:
        ended: dict[str, dict[str, Spent]] = {}
        for owner, job_id, spent in departures:
            ended.setdefault(owner, {})[job_id] = spent
        self._backend.admission.admit(ended)
        return [None] * len(departures)
