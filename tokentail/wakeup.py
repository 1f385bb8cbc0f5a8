"""Wake-ups: how a thread waits for news of a job without asking again and again.

One subscription connection a process, and one thread that alone touches it: others leave their wishes in a table and
nudge it through Redis itself. Nothing is lost: register, read, then wait. Every confirmation of a subscription wakes,
too, so that whatever was said before it is read by those who waited then.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import redis

from tokentail.commands import live_channel
from tokentail.errors import StoreUnavailable
from tokentail.store import RedisClient, redis_errors

log = logging.getLogger(__name__)

_RECONNECT_S = 0.2
_TICK_S = 0.5  # how soon the thread sees a wish whose nudge was lost, and that it should stop


@dataclass
class _Channel:
    """One job's waiters. `is_live` is set once Redis has confirmed the subscription."""

    is_live: threading.Event = field(default_factory=threading.Event)
    waiters: set[threading.Event] = field(default_factory=set)
    idle_since: float = 0.0


class Wakeups:
    """Wakes waiting threads when their job has news. One a process; close it to wake all for good.

    A channel is kept for `idle_s` after its last waiter: the same reader's next poll finds it live. A connection that
    is silent for `dead_after_s`, pings included, is dead whatever TCP believes.
    """

    def __init__(self, client: RedisClient, *, idle_s: float = 5.0, dead_after_s: float = 10.0) -> None:
        self._client = client
        self._idle_s = idle_s
        self._dead_after_s = dead_after_s
        self._nudges = f"tt:wakeups:{secrets.token_hex(8)}"
        self._lock = threading.Lock()  # guards the table; never held over I/O
        self._channels: dict[str, _Channel] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard_at = 0.0
        self._is_outage_told = False

    @property
    def is_closing(self) -> bool:
        """No wait should begin any more."""
        return self._closing.is_set()

    @contextmanager
    def subscribed(self, job_ids: Iterable[str], confirm_within_s: float) -> Iterator[threading.Event]:
        """An event that is set by each piece of news of any of the jobs from now on. Clear it, read, then wait.

        Raises StoreUnavailable when the subscription is not confirmed in time.
        """
        woken = threading.Event()
        names = {live_channel(job_id) for job_id in job_ids}
        with self._lock:
            is_new = not names <= self._channels.keys()
            channels = [self._channels.setdefault(name, _Channel()) for name in names]
            for channel in channels:
                channel.waiters.add(woken)
            self._start()
        try:
            if is_new:
                self._nudge()
            confirmed_by = time.monotonic() + confirm_within_s
            for channel in channels:
                is_live = channel.is_live.wait(max(confirmed_by - time.monotonic(), 0))
                if not is_live and not self.is_closing:
                    raise StoreUnavailable(StoreUnavailable.__doc__)
            if self.is_closing:
                woken.set()
            yield woken
        finally:
            with self._lock:
                for channel in channels:
                    channel.waiters.discard(woken)
                    channel.idle_since = time.monotonic()

    def close(self) -> None:
        """Wake every waiter: the process is going. Does no I/O, so that a signal handler can call it."""
        self._closing.set()
        self._wake_all()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has gone, after `close`."""
        if self._thread is not None:
            with suppress(StoreUnavailable):
                self._nudge()
            self._thread.join(timeout_s)

    def _nudge(self) -> None:
        with redis_errors():
            self._client.publish(self._nudges, "")

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow_wishes, name="wakeups", daemon=True)
            self._thread.start()

    # -- everything below runs on the one thread that owns the connection ---------------------------------------------

    def _follow_wishes(self) -> None:
        while not self.is_closing:
            pubsub = self._client.pubsub()
            try:
                self._receive(pubsub)
            except Exception as error:
                # Whatever broke, this connection is not trusted any more; its successor subscribes to everything anew.
                if not self._is_outage_told:
                    log.warning("wakeup.connection_lost", extra={"error": type(error).__name__})
                self._is_outage_told = True
                self._wake_all()
                self._closing.wait(_RECONNECT_S)
            finally:
                _discard(pubsub)

    def _receive(self, pubsub: RedisClient) -> None:
        """Subscribe as wished and pass on what comes, until the process closes or the connection breaks."""
        # Nudges first: a wish is either in the table when it is read below, or its nudge is heard.
        pubsub.subscribe(self._nudges)
        subscribed: set[str] = set()
        self._heard_at = adjusted_at = time.monotonic()
        while not self.is_closing:
            message = pubsub.get_message(timeout=_TICK_S)
            now = time.monotonic()
            if message is None:
                self._check_health(pubsub, now - self._heard_at)
            else:
                self._heard_at, self._is_outage_told = now, False
                self._take_in(message)
            is_nudge = message is not None and message["channel"] == self._nudges.encode()
            if is_nudge or now - adjusted_at >= _TICK_S:
                self._adjust(pubsub, subscribed, now)
                adjusted_at = now

    def _adjust(self, pubsub: RedisClient, subscribed: set[str], now: float) -> None:
        """Make the subscriptions what the table says."""
        with self._lock:
            idle = [n for n, c in self._channels.items() if not c.waiters and now - c.idle_since >= self._idle_s]
            for name in idle:
                del self._channels[name]
            wanted = set(self._channels)
        if unwanted := subscribed - wanted:
            pubsub.unsubscribe(*unwanted)
        if missing := wanted - subscribed:
            pubsub.subscribe(*missing)
        subscribed.clear()
        subscribed.update(wanted)

    def _take_in(self, message: dict[str, bytes | str | None]) -> None:
        name = message["channel"]
        if not isinstance(name, bytes):
            return  # a pong
        with self._lock:
            channel = self._channels.get(name.decode())
            if channel is None:
                return
            if message["type"] == "subscribe":
                channel.is_live.set()
            waiters = list(channel.waiters)
        for woken in waiters:
            woken.set()

    def _check_health(self, pubsub: RedisClient, silence_s: float) -> None:
        if silence_s > self._dead_after_s:
            raise redis.exceptions.TimeoutError("no answer to a ping")
        if silence_s > self._dead_after_s / 2:
            pubsub.ping()

    def _wake_all(self) -> None:
        with self._lock:
            channels = list(self._channels.values())
            waiters = [woken for channel in channels for woken in channel.waiters]
        for channel in channels:
            if self.is_closing:
                channel.is_live.set()  # nobody needs to wait for a confirmation now
            else:
                channel.is_live.clear()
        for woken in waiters:
            woken.set()


def _discard(pubsub: RedisClient) -> None:
    try:
        pubsub.close()
    except (redis.exceptions.RedisError, OSError) as error:
        log.debug("wakeup.close_failed", extra={"error": type(error).__name__})
