"""The hub's thread: runs the hub of a web process whose server has no asyncio loop, and takes steps for its threads.

The loop's thread is a native one even where gevent has replaced threads, so that no wait on either side stops the
other: uvloop uses no socket or lock of Python's, and a greenlet that waits for it leaves gevent's loop free. A lock of
gevent's must never be shared with that thread: greenlets that wait for such a lock may wait for ever.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import gevent
import gevent.event
import gevent.monkey
import uvloop

from app.http.access import Caller
from app.reading.hub import Hub
from app.reading.steps import HandlerSteps, Head, PassOn, Read, Result, RunBlocking, Stream, Wait
from app.reading.tails import Tails
from tokentail.config.settings import Settings
from tokentail.errors import StoreUnavailable, TokentailError
from tokentail.redis.client import AsyncRedisClient
from tokentail.telemetry.log_lines import facts_of

log = logging.getLogger(__name__)

_start_new_thread, _allocate_lock, _RLock = gevent.monkey.get_original(
    "_thread", ["start_new_thread", "allocate_lock", "RLock"]
)

Found = TypeVar("Found")
_LOOP_KEPT_S = 60.0


def places_among(threads: int) -> int:
    """How many of these threads may wait: never the last ones, which are for requests that do not wait."""
    return max(threads - 8, threads // 2)


@dataclass
class _Running:
    """A hub on its loop, from the start of their thread to its end."""

    loop: asyncio.AbstractEventLoop
    hub: Hub
    redis: AsyncRedisClient
    ended: Any  # a lock, held until the thread ends
    serving: "asyncio.Task[None] | None" = None  # the hub, once it has begun
    is_cancelled: bool = False
    calls: "set[asyncio.Task[Any]]" = field(default_factory=set)

    def cancel(self) -> None:
        """End the loop, even if it has not begun."""
        self.is_cancelled = True
        if self.serving is not None:
            self.serving.cancel()


class HubThread:
    """Starts with the first step that reads or waits, so that a server may load the application and then fork."""

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[], AsyncRedisClient],
        open_tails: Callable[[AsyncRedisClient], Tails],
    ) -> None:
        self._connect = connect
        self._grace_s = settings.grace_s
        self._most = places_among(settings.web_threads)
        self._most_of_owner = settings.waits_of_key(self._most)
        self._open_tails = open_tails
        self._lock = _allocate_lock()  # guards `_running`; nothing waits while it is held
        self._running: _Running | None = None
        self._is_closing = False

    @property
    def waits(self) -> int:
        """How many polls wait now, and streams are open."""
        running = self._running
        return running.hub.waits if running else 0

    def drive(self, steps: HandlerSteps[Result], owner: str) -> Result:
        """Take the steps and return their result. Raises what they raise."""
        try:
            next(self.others(steps, owner))
        except StopIteration as result:
            return result.value  # type: ignore[no-any-return]
        raise TypeError("These steps do more than read and wait.")

    def others(self, steps: HandlerSteps[Result] | Stream, owner: str) -> Generator[Any, None, Result]:
        """Take the steps that read, wait or block, and yield those that send. Raises what they raise.

        A stream that has begun has a place, if one was free, until this generator ends or is closed.
        """
        reader = _ThreadReader(owner)
        is_stream = False
        send: Callable[[Any], Any] = steps.send
        answer: Any = None
        try:
            while True:
                try:
                    step = send(answer)
                except StopIteration as result:
                    return result.value  # type: ignore[no-any-return]
                send, answer = steps.send, None
                if isinstance(step, Read | Wait | RunBlocking):
                    try:
                        answer = step.function() if isinstance(step, RunBlocking) else self.run(reader.taking(step))
                    except TokentailError as error:
                        send, answer = steps.throw, error
                    continue
                if isinstance(step, Head) and not step.is_whole:
                    is_stream = True
                    self.run(reader.enter)
                answer = step.untaken if isinstance(step, PassOn) else (yield step)
        finally:
            if is_stream:
                self._soon(reader.leave)

    def run(self, of: Callable[[Hub], Coroutine[Any, Any, Found]]) -> Found:
        """What this coroutine on the hub's loop returns, or raises. The calling thread or greenlet waits for it."""
        wake, wait = _greenlet_signal() if _is_gevent() else _thread_signal()
        call = _Call(of, wake)
        with self._lock:
            running = self._running or self._start()
            running.loop.call_soon_threadsafe(call.begin, running)
        try:
            wait()
        except BaseException:  # the server has given the request up
            self._soon(call.give_up)
            raise
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[no-any-return]

    def close(self) -> None:
        """Answer all waiting readers now, patient ones when the grace is over. A signal handler may call this."""
        self._is_closing = True
        if (running := self._running) is not None:
            self._soon(partial(self._close, running))

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        """Call this on the loop's thread after so long; at once if no loop runs."""
        if (running := self._running) is None:
            function()
        else:
            self._soon(partial(running.loop.call_later, delay_s, function))

    def stop(self, timeout_s: float) -> bool:
        """Close, end the loop, and wait for its end for at most `timeout_s`; whether no loop runs any more."""
        self.close()
        if (running := self._running) is None:
            return True
        self._soon(running.cancel)
        return bool(running.ended.acquire(timeout=timeout_s))

    def _soon(self, function: Callable[[], Any]) -> None:
        """Have the loop call this. For a loop that has ended there is nothing to call."""
        if (running := self._running) is not None:
            with suppress(RuntimeError):
                running.loop.call_soon_threadsafe(function)

    def _start(self) -> _Running:
        if _is_gevent():
            _use_native_locks_in_logging()
        redis = self._connect()
        hub = Hub(self._open_tails(redis), self._most, self._most_of_owner)
        running = _Running(uvloop.new_event_loop(), hub, redis, _allocate_lock())
        running.ended.acquire()
        _start_new_thread(self._live, (running,))
        self._running = running
        if self._is_closing:
            self._soon(partial(self._close, running))
        return running

    # -- everything below runs on the loop's thread --------------------------------------------------------------------

    def _close(self, running: _Running) -> None:
        running.hub.close()
        running.loop.call_later(self._grace_s, running.hub.end)

    def _live(self, running: _Running) -> None:
        try:
            running.loop.run_until_complete(self._serve(running))
        finally:
            running.loop.close()
            running.ended.release()

    async def _serve(self, running: _Running) -> None:
        serving = asyncio.create_task(running.hub.run())
        await asyncio.sleep(0)  # a task that is cancelled before it begins would not end what it owns
        running.serving = serving
        if running.is_cancelled:
            serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled() and (error := serving.exception()):
            # Without tails no reader is woken. The next reader starts another hub.
            log.critical("hub.failed", extra=facts_of(error))
        with self._lock:
            self._running = None
        running.hub.end()
        await asyncio.sleep(0)  # the calls that were passed on before this have begun by now
        for task in running.calls:
            task.cancel()
        await asyncio.gather(*running.calls, return_exceptions=True)
        await running.redis.aclose(close_connection_pool=True)


class _ThreadReader:
    """A reader that a thread or greenlet serves."""

    def __init__(self, owner: str) -> None:
        self.caller = Caller(owner)
        self.seen: dict[str, int] = {}
        self._place_in: Hub | None = None

    def on_hangup(self, waiter: "asyncio.Future[bool]") -> None:
        """WSGI shows only by a failed send that the client has left."""

    def taking(self, step: Read | Wait) -> Callable[[Hub], Coroutine[Any, Any, Any]]:
        """The hub's coroutine that takes this step."""
        return lambda hub: hub.take(step, self, has_place=self._place_in is hub)

    async def enter(self, hub: Hub) -> None:
        """Take a place, if one is free."""
        if hub.enter(self.caller.owner):
            self._place_in = hub

    def leave(self) -> None:
        """Give the place back."""
        if self._place_in is not None:
            self._place_in.leave(self.caller.owner)


class _Call:
    """One coroutine on the loop, for a thread that waits for it."""

    def __init__(self, of: Callable[[Hub], Coroutine[Any, Any, Any]], wake: Callable[[], object]) -> None:
        self._of = of
        self._wake = wake
        self._task: asyncio.Task[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def begin(self, running: _Running) -> None:
        """Start the coroutine. On the loop."""
        self._task = running.loop.create_task(self._of(running.hub))
        running.calls.add(self._task)
        self._task.add_done_callback(running.calls.discard)
        self._task.add_done_callback(self._end)

    def give_up(self) -> None:
        """No thread waits for it any more. On the loop."""
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            self.error = StoreUnavailable(StoreUnavailable.__doc__)
        elif (error := task.exception()) is not None:
            self.error = error
        else:
            self.result = task.result()
        self._wake()


def _is_gevent() -> bool:
    """Whether gevent has replaced this process's threads."""
    return bool(gevent.monkey.is_module_patched("threading"))


def _use_native_locks_in_logging() -> None:
    """Give the log's handlers locks that the loop's thread can share. No handler yields while it holds its lock."""
    for handler in logging.getLogger().handlers:
        handler.lock = _RLock()


_Signal = tuple[Callable[[], object], Callable[[], object]]  # to wake, and to wait for it


def _thread_signal() -> _Signal:
    lock = _allocate_lock()
    lock.acquire()
    return lock.release, lock.acquire


def _greenlet_signal() -> _Signal:
    woken, loop = gevent.event.Event(), gevent.get_hub().loop

    def wait() -> None:
        while not woken.wait(_LOOP_KEPT_S):  # the timer: without one gevent's loop may find that it has nothing to do
            pass

    return lambda: loop.run_callback_threadsafe(woken.set), wait
