"""A server for tests: the real HTTP interface on a loopback port, the real worker's runner, and Redis in memory."""

import threading
from contextlib import ExitStack
from typing import Any, Self

import fakeredis
import gevent.monkey
from werkzeug.serving import WSGIRequestHandler, make_server

from app.reading.hub_thread import HubThread
from app.serving.background_loop import BackgroundLoop
from app.serving.flask_app import create_app
from app.wiring import wire_calls
from tokentail.config.settings import load_settings
from tokentail.jobs.request import GenerationRequest
from tokentail.redis.backend import wire
from tokentail.testing.answer import Answer
from tokentail.testing.model import ScriptedModel
from tokentail.testing.worker_thread import WorkerThread

# A failure that a test asks for should come at once, and stay.
_SETTINGS = {"TOKENTAIL_MODEL": "scripted", "TOKENTAIL_RETRIES": "0"}
_LOOK_AGAIN_S = 0.01  # whether to stop
_STOP_S = 5.0


class TokentailServer:
    """Listens at `url` between `start` and `close`; a `with` statement calls both.

    It serves what `tokentail up` serves, except WebSockets. Any model's name may be asked for.
    """

    def __init__(self, **settings: str) -> None:
        """`settings` are environment variables, such as TOKENTAIL_API_KEYS. Raises SettingsError."""
        self._settings = load_settings({**_SETTINGS, **settings})
        self._model = ScriptedModel()
        self._opened = ExitStack()
        self.url = ""

    def answer(self, answer: Answer | str, *, to: str = "") -> Answer:
        """Give an answer for the next job, or with `to` for each job whose last message contains that text.

        Answers without `to` are used in the order in which they were given, each once. A job for which there is no
        answer fails with the kind `rejected`.
        """
        given = Answer(answer) if isinstance(answer, str) else answer
        if to:
            self._model.by_prompt.append((to, given))
        else:
            self._model.in_order.append(given)
        return given

    @property
    def requests(self) -> list[GenerationRequest]:
        """The requests that have reached the model, in order."""
        return list(self._model.requests)

    def start(self) -> None:
        """Return when the server accepts requests."""
        with ExitStack() as opened:
            self._open(opened)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """End all requests that wait, and stop everything that was started."""
        self._opened.close()

    def _open(self, opened: ExitStack) -> None:
        redis = fakeredis.FakeServer()
        # A native lock, also where gevent has replaced locks: the hub's native thread takes it, too. No holder waits.
        redis.lock = gevent.monkey.get_original("_thread", "allocate_lock")()
        client = fakeredis.FakeRedis(server=redis)
        opened.callback(client.close)
        backend = wire(client, client, self._settings)
        worker = WorkerThread(self._settings, backend, self._model)
        worker.start()
        opened.callback(worker.stop)
        backend.observer.observe()
        calls = wire_calls(self._settings, backend)
        hub = HubThread(self._settings, lambda: fakeredis.FakeAsyncRedis(server=redis, protocol=2), calls.open_tails)
        opened.callback(hub.stop, _STOP_S)
        background = BackgroundLoop(backend, calls.positions, calls.readers, self._settings.model)
        background.start()
        opened.callback(background.stop, _STOP_S)
        http = make_server("127.0.0.1", 0, create_app(calls, hub), threaded=True, request_handler=_SilentHandler)
        opened.callback(http.server_close)
        thread = threading.Thread(target=http.serve_forever, args=(_LOOK_AGAIN_S,), name="http", daemon=True)
        thread.start()
        opened.callback(thread.join)
        opened.callback(http.shutdown)
        opened.callback(hub.close)
        self.url = f"http://127.0.0.1:{http.server_port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SilentHandler(WSGIRequestHandler):
    """Werkzeug's, without a line of log for each request."""

    def log_request(self, *_: Any) -> None:
        """Write nothing."""
