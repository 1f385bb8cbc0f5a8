"""A runner over one store, as a worker process has it, and providers that say what a test wants."""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

import gevent
from gevent.event import Event

from tokentail.config.settings import load_settings
from tokentail.jobs.job import FinishReason, Job
from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest, parse_request
from tokentail.jobs.submit import Submitter
from tokentail.log.cursor import BEGINNING
from tokentail.log.element import decode
from tokentail.redis.backend import Backend, now_ms
from worker.chunk import Chunk, Finish, Terminal
from worker.dialects.registry import Registry
from worker.meters import Meters
from worker.running.runner import Runner
from worker.upstream.provider import Provider
from worker.upstream.seams import Answer, Transport

PROMPT = "a prompt that nobody else may see"


class _Scripted:
    """A provider that says what the test wants, and tells whether it was left."""

    name = "scripted"
    served = ServedModel("scripted", "scripted", "scripted")

    def __init__(self, say: Callable[[], Iterator[list[Chunk]]]) -> None:
        self._say = say
        self.is_closed = Event()

    def steps(self, request: GenerationRequest, model: str) -> Generator[tuple[float, list[Chunk]]]:
        try:
            for chunks in self._say():
                yield 0.0, chunks
        finally:
            self.is_closed.set()


class _NoTransport:
    def send(self, call: Any) -> Answer:
        raise AssertionError("a scripted provider needs no network")


class RunnerHarness:
    """A runner over one store, as a worker process has it."""

    def __init__(
        self,
        backend: Backend,
        say: Callable[[], Iterator[list[Chunk]]],
        meters: Meters | None = None,
        upstream: tuple[Provider, Transport] | None = None,
        **environment: str,
    ) -> None:
        """With an `upstream`, jobs may name its models, too."""
        self.backend = backend
        self.provider = _Scripted(say)
        settings = load_settings(environment)
        other, transport = upstream or (None, _NoTransport())
        registry = Registry([self.provider, *([other] if other else [])])
        self.runner = Runner("worker-1", settings, backend, registry, transport, meters)
        self.greenlets = [gevent.spawn(self.runner.commit_forever)]

    def submit(self, model: str = "scripted", *, ago_s: float = 0, prompt: str = PROMPT) -> str:
        request = parse_request(b'{"prompt": "%s"}' % prompt.encode())
        backend = self.backend
        submitter = Submitter(backend.store, backend.queue, backend.admission, lambda: now_ms() - int(ago_s * 1000))
        return submitter.submit("", request, model, None).job_id

    def run(self, job_id: str) -> str:
        with gevent.Timeout(10):
            return self.runner.run(job_id)

    def spawn(self, job_id: str) -> gevent.Greenlet:
        greenlet = gevent.spawn(self.runner.run, job_id)
        self.greenlets.append(greenlet)
        self.until(lambda: self.text(job_id) != "")
        return greenlet

    def until(self, condition: Callable[[], object]) -> None:
        with gevent.Timeout(10):
            while not condition():
                gevent.sleep(0.01)

    def text(self, job_id: str) -> str:
        return "".join(decode(token) for token in self.backend.store.read(job_id, BEGINNING, 10_000).tokens)

    def job(self, job_id: str) -> Job:
        return self.backend.store.view(job_id)

    def end(self, job_id: str) -> dict[str, Any]:
        end = self.job(job_id).end
        assert end is not None
        return end

    def error(self, job_id: str) -> dict[str, Any]:
        error: dict[str, Any] = self.end(job_id)["error"]
        return error


def calls(*answers: list[Chunk | Exception]) -> Callable[[], Iterator[list[Chunk]]]:
    """A provider that gives these answers in turn, one chunk a list; an Exception is raised in its place."""
    left = iter(answers)

    def say() -> Iterator[list[Chunk]]:
        for chunk in next(left):
            if isinstance(chunk, Exception):
                raise chunk
            yield [chunk]

    return say


def whole() -> Iterator[list[Chunk]]:
    yield ["Hel"]
    yield ["lo", Finish(FinishReason.STOP, "stop"), Terminal()]


def endless() -> Iterator[list[Chunk]]:
    yield ["and "]
    while True:
        gevent.sleep(0.01)
        yield ["on "]


def mute() -> Iterator[list[Chunk]]:
    yield ["one word"]
    Event().wait()


class BuildRunner(Protocol):
    """Makes a runner over a store with these settings."""

    def __call__(
        self, say: Callable[[], Iterator[list[Chunk]]], meters: Meters | None = None, **environment: str
    ) -> RunnerHarness: ...
