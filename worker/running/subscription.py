"""A subscription to one channel of Redis, in a greenlet: it outlives lost and silent connections.

Messages that are published while there is no connection are lost; Redis keeps none. A job that was closed meanwhile is
found by the regular check of the logs, within a second or two of Redis answering again (`Runner.look_after_logs`). An
RQ command that was sent meanwhile has to be sent again.
"""

import logging
from collections.abc import Callable

import gevent

from tokentail.redis.client import RedisClient
from tokentail.redis.connection import discard

log = logging.getLogger(__name__)

_RECONNECT_S = 0.5


class Subscription:
    """Calls `hear` with each message on `channel`. `run` is a greenlet's life.

    A connection that is silent for `dead_after_s`, although it was pinged at half that time, is dead whatever TCP
    believes. A channel on which nothing is published is not silent: the pings are answered.
    """

    def __init__(
        self, client: RedisClient, channel: str, hear: Callable[[bytes], None], *, dead_after_s: float = 10.0
    ) -> None:
        self._client = client
        self._channel = channel
        self._hear = hear
        self._quiet_s = dead_after_s / 2
        self._is_outage_told = False

    def run(self) -> None:
        """Keep the connection, through outages, until the greenlet is killed."""
        while True:
            try:
                self._live()
            except Exception as error:
                # Whatever broke, this connection is not trusted any more; its successor subscribes anew.
                if not self._is_outage_told:
                    facts = {"channel": self._channel, "error": type(error).__name__}
                    log.warning("control.connection_lost", extra=facts)
                self._is_outage_told = True
            gevent.sleep(_RECONNECT_S)

    def _live(self) -> None:
        """One connection, from its beginning to its end."""
        pubsub = self._client.pubsub()
        is_pinged = False
        try:
            pubsub.subscribe(self._channel)
            while True:
                message = pubsub.get_message(timeout=self._quiet_s)
                if message is not None:
                    is_pinged = False
                    self._take_in(message["type"], message["data"])
                elif is_pinged:
                    raise TimeoutError("no answer to a ping")
                else:
                    pubsub.ping()
                    is_pinged = True
        finally:
            discard(pubsub)

    def _take_in(self, kind: str, content: bytes) -> None:
        if kind == "message":
            try:
                self._hear(content)
            except Exception as error:
                # Any program may publish anything here; the next message is received all the same.
                log.error("control.message_failed", extra={"channel": self._channel, "error": type(error).__name__})
        elif kind == "subscribe" and self._is_outage_told:
            self._is_outage_told = False
            log.info("control.connection_resumed", extra={"channel": self._channel})
