"""A worker in a thread of the test's process: the real runner, with the scripted model in place of providers.

Greenlets of this thread stay in it, so nothing in the process needs to be patched. RQ's own worker is not used: its
signals and its blocking reads need a process.
"""

import threading
from typing import NoReturn

import gevent
from gevent.monkey import is_module_patched
from gevent.pool import Group

from tokentail.config.settings import Settings
from tokentail.identifiers import new_worker_name
from tokentail.jobs.queue import job_id_of, open_queue
from tokentail.redis.backend import Backend
from tokentail.testing.model import ScriptedModel
from worker.dialects.registry import Registry
from worker.main import Beat
from worker.running.event_loop import end_loop
from worker.running.runner import Runner
from worker.upstream.provider import HttpCall
from worker.upstream.seams import Answer

_LOOK_AGAIN_S = 0.005  # at the queue
_BEAT_S = 1.0


class WorkerThread:
    """Takes every job from the queue until it is stopped."""

    def __init__(self, settings: Settings, backend: Backend, model: ScriptedModel) -> None:
        self._settings = settings
        self._backend = backend
        self._model = model
        self._is_ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Return once the worker's lease names its model."""
        self._thread.start()
        self._is_ready.wait()

    def stop(self) -> None:
        """Leave the jobs under way as they are, and return when the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        settings, backend = self._settings, self._backend
        runner = Runner(new_worker_name(), settings, backend, Registry([self._model]), _NoTransport())
        beat = Beat(runner, backend, [self._model.served], settings.worker_concurrency)
        beat.beat()
        self._is_ready.set()
        queue_key = open_queue(backend.queue_client).key
        greenlets = Group()
        greenlets.spawn(runner.commit_forever)
        greenlets.spawn(_keep_alive, runner, beat)
        while not self._stopping.is_set():
            while rq_id := backend.queue_client.lpop(queue_key):
                greenlets.spawn(runner.run, job_id_of(rq_id.decode()))
            gevent.sleep(_LOOK_AGAIN_S)
        greenlets.kill()
        if not is_module_patched("threading"):  # a patched thread shares the event loop of the process
            end_loop()


def _keep_alive(runner: Runner, beat: Beat) -> NoReturn:
    while True:
        gevent.sleep(_BEAT_S)
        beat.beat()
        runner.look_after_logs()


class _NoTransport:
    def send(self, call: HttpCall) -> Answer:
        raise AssertionError("The scripted model needs no network.")
