"""Wake-ups: how a thread waits for news of a job without asking again and again.

One subscription connection a process, read by one thread. Nothing can be lost: subscribe, then read, then wait; and a
connection that broke wakes everybody, who read again.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tokentail.commands import live_channel
from tokentail.errors import StoreUnavailable
from tokentail.store import RedisClient, redis_errors

log = logging.getLogger(__name__)

_RECONNECT_S = 0.2
_POLL_S = 1.0  # how soon the reading thread sees that it should stop


class _Channel:
    """One job's waiters. `is_live` is set once Redis has confirmed the subscription."""

    def __init__(self) -> None:
        self.is_live = threading.Event()
        self.waiters: set[threading.Event] = set()


class Wakeups:
    """Wakes waiting threads when their job has news. Start it once a process; close it to wake all for good."""

    def __init__(self, client: RedisClient) -> None:
        self._pubsub = client.pubsub()
        self._lock = threading.Lock()  # guards the channels and what is sent; the reading thread only receives
        self._channels: dict[str, _Channel] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_closing(self) -> bool:
        """No wait should begin any more."""
        return self._closing.is_set()

    @contextmanager
    def subscribed(self, job_id: str, confirm_within_s: float) -> Iterator[threading.Event]:
        """An event that is set by each piece of news from now on. Clear it, read, then wait.

        Raises StoreUnavailable when the subscription is not confirmed in time.
        """
        woken = threading.Event()
        name = live_channel(job_id)
        with self._lock:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = _Channel()
                self._subscribe(name)
            channel.waiters.add(woken)
            self._start()
        try:
            if not channel.is_live.wait(confirm_within_s) and not self.is_closing:
                raise StoreUnavailable(StoreUnavailable.__doc__)
            if self.is_closing:
                woken.set()
            yield woken
        finally:
            with self._lock:
                channel.waiters.discard(woken)
                if not channel.waiters and self._channels.get(name) is channel:
                    del self._channels[name]
                    self._unsubscribe(name)

    def close(self) -> None:
        """Wake every waiter: the process is going."""
        self._closing.set()
        self._wake_all()

    # -- the connection ----------------------------------------------------------------------------------------------

    def _subscribe(self, name: str) -> None:
        try:
            with redis_errors():
                self._pubsub.subscribe(name)
        except StoreUnavailable:
            del self._channels[name]
            raise

    def _unsubscribe(self, name: str) -> None:
        try:
            with redis_errors():
                self._pubsub.unsubscribe(name)
        except StoreUnavailable as error:
            # The broken connection took the subscription with it.
            log.debug("wakeup.unsubscribe_failed", extra={"error": str(error)})

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._receive, name="wakeups", daemon=True)
            self._thread.start()

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                message = self._pubsub.get_message(timeout=_POLL_S)
            except (redis.exceptions.RedisError, OSError, ValueError) as error:
                # redis-py subscribes anew when it connects again; until then whatever was said is lost on us.
                log.warning("wakeup.connection_lost", extra={"error": type(error).__name__})
                self._wake_all()
                self._closing.wait(_RECONNECT_S)
                continue
            if message is not None:
                self._take_in(message["type"], message["channel"].decode())

    def _take_in(self, kind: str, name: str) -> None:
        with self._lock:
            channel = self._channels.get(name)
            if channel is None:
                return
            if kind == "subscribe":
                channel.is_live.set()
            # A confirmation wakes, too: after a reconnection it says that something may have been missed.
            waiters = list(channel.waiters)
        for woken in waiters:
            woken.set()

    def _wake_all(self) -> None:
        with self._lock:
            waiters = [woken for channel in self._channels.values() for woken in channel.waiters]
            if self._closing.is_set():
                for channel in self._channels.values():
                    channel.is_live.set()
        for woken in waiters:
            woken.set()
