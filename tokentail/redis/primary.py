"""The primary: of several servers the one that takes writes, as their Sentinels name it.

Each Sentinel is asked every second, and at once when it announces a fail-over (`+switch-master`). The newest
configuration counts, that is, the highest config-epoch. So neither an old primary that is back, nor a Sentinel that was
cut off with it, receives a connection. When the primary changes, the connections to the old one end at once, also those
that wait for an answer of a server that hangs.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary, ref

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from tokentail.config.address import Address
from tokentail.config.redis_url import RedisUrl
from tokentail.redis.errors import NoPrimary, words_of
from tokentail.redis.quick_client import look_quickly

log = logging.getLogger(__name__)

_ANSWER_S = 0.5  # a Sentinel that takes longer is silent
_ASK_S = 1.0  # between two questions
_RETRY_S = 0.5  # between tries at a Sentinel that is silent
_SWITCHED = "+switch-master"

_UNKNOWN = "the Sentinels know no primary of this name"
_REFUSED = "the Sentinels refuse the user or the password (sentinel_username, sentinel_password)"
_NO_SENTINEL = "what answers is no Sentinel"
_SILENT = "no Sentinel answers"
_DOWN = "the Sentinels call the primary down"
_OUTDATED = "the Sentinels that answer do not know of the last fail-over"
_START_SENTINELS = "Start the Sentinels, or correct their hosts and ports in the URL of Redis"
_START_OTHERS = "Start the other Sentinels, or restore the network between them and this process"

_lock = threading.Lock()


class Connection(Protocol):
    """A connection to the primary."""

    host: str
    port: int

    def leave(self) -> None:
        """End, at once, from any thread or greenlet."""


@dataclass(frozen=True)
class Answer:
    """What one Sentinel says of the primary."""

    at: tuple[str, int]
    epoch: int
    is_down: bool


class Primary:
    """Where the primary is. Connections ask `where`, and are ended when that changes."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._said: dict[Address, Answer | str | None] = {}  # a text is a refusal, None is silence
        self._epoch = -1  # the highest that was ever heard of
        self._at: tuple[str, int] | None = None
        self._silent: set[Address] = set()
        self._connections: WeakValueDictionary[int, Connection] = WeakValueDictionary()

    def __str__(self) -> str:
        return str(self._url) + (f", now {Address(*self._at)}" if self._at else "")

    @property
    def silent(self) -> list[Address]:
        """The Sentinels that do not answer."""
        return sorted(self._silent, key=str)

    @property
    def is_settled(self) -> bool:
        """Whether enough Sentinels have been asked: more than half have answered, or none is left to ask."""
        answers = [said for said in self._said.values() if isinstance(said, Answer)]
        listed = len(self._url.sentinels)
        return 2 * len(answers) > listed or self.is_known_of_all

    @property
    def is_known_of_all(self) -> bool:
        """Whether each Sentinel has answered, or failed to, at least once."""
        return len(self._said) == len(self._url.sentinels)

    def where(self) -> tuple[str, int]:
        """Host and port of the server that takes writes. Raises NoPrimary."""
        said = list(self._said.values())
        answers = [each for each in said if isinstance(each, Answer)]
        if not answers:
            refusals = [each for each in said if isinstance(each, str)]
            raise NoPrimary(refusals[0], is_fault=True) if refusals else NoPrimary(_SILENT, remedy=_START_SENTINELS)
        newest = max(answers, key=lambda answer: answer.epoch)
        # All Sentinels go back to a lower epoch only when an operator sets them up anew.
        if newest.epoch < self._epoch and len(answers) < len(self._url.sentinels):
            raise NoPrimary(_OUTDATED, remedy=_START_OTHERS)
        if all(answer.is_down for answer in answers if answer.at == newest.at):
            raise NoPrimary(_DOWN)
        self._epoch = newest.epoch
        return newest.at

    def watch(self, connection: Connection) -> None:
        """End the connection when the primary is elsewhere."""
        self._connections[id(connection)] = connection

    def hear(self, sentinel: Address, said: Answer | str | None, error: str = "") -> None:
        """Take in what a Sentinel says; where it is silent, `error` is the kind of error."""
        with _lock:
            self._said[sentinel] = said
            before, self._at = self._at, self._where_or(self._at)
            at = self._at
            if is_news := (said is None) != (sentinel in self._silent):
                self._silent ^= {sentinel}
        if is_news and said is None:
            log.warning("sentinel.silent", extra={"sentinel": sentinel, "error": error})
        elif is_news:
            log.info("sentinel.answers", extra={"sentinel": sentinel})
        if at is not None and at != before:
            if before is not None:
                log.warning("primary.moved", extra={"primary": self._url.name, "address": Address(*at)})
            for connection in [reference() for reference in self._connections.valuerefs()]:
                if connection is not None and (connection.host, connection.port) != at:
                    connection.leave()

    def _where_or(self, other: tuple[str, int] | None) -> tuple[str, int] | None:
        try:
            return self.where()
        except NoPrimary:
            return other


_primaries: WeakValueDictionary[tuple[int, RedisUrl], Primary] = WeakValueDictionary()


def primary_of(url: RedisUrl) -> Primary:
    """The primary of this URL: one object a process, whose Sentinels are asked for as long as it is in use."""
    with _lock:
        key = os.getpid(), url  # a process that was forked has none of the threads
        if (primary := _primaries.get(key)) is None:
            primary = _primaries[key] = Primary(url)
            for sentinel, own_url in zip(url.sentinels, url.sentinel_urls, strict=True):
                listener = partial(_listen, ref(primary), sentinel, own_url, url.name)
                threading.Thread(target=listener, name=f"sentinel {sentinel}", daemon=True).start()
    return primary


def _listen(primary: "ref[Primary]", sentinel: Address, url: str, name: str) -> None:
    """Ask one Sentinel again and again, through outages, until nobody uses the primary."""

    def tell(said: Answer | str | None, error: str = "") -> bool:
        listening = primary()
        if listening is not None:
            listening.hear(sentinel, said, error)
        return listening is not None

    is_wanted = True
    while is_wanted:
        try:
            with _connected(url) as (client, announcements):
                while is_wanted := tell(_ask(client, name)):
                    announcements.get_message(timeout=_ASK_S)
        except redis.exceptions.AuthenticationError:
            is_wanted = tell(_REFUSED)
        except Exception as error:  # whatever it is: the other Sentinels and the next try do not depend on it
            is_wanted = tell(None, type(error).__name__)
        if is_wanted:
            time.sleep(_RETRY_S)


@contextmanager
def _connected(url: str) -> Iterator[tuple[Any, Any]]:
    """A client of one Sentinel, and its subscription to announcements of fail-overs."""
    limits = {"socket_timeout": _ANSWER_S, "socket_connect_timeout": _ANSWER_S}
    pool = ConnectionPool.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), health_check_interval=0, **limits)
    look_quickly(pool)
    with closing(pool):
        client: Any = redis.Redis(connection_pool=pool)
        with closing(client.pubsub(ignore_subscribe_messages=True)) as announcements:
            announcements.subscribe(_SWITCHED)
            yield client, announcements


def _ask(client: Any, name: str) -> Answer | str:
    """What the Sentinel says of the primary, or why it says nothing. Raises redis-py's errors."""
    questions = client.pipeline(transaction=False)  # one packet: nothing changes between the two
    questions.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    questions.execute_command("SENTINEL", "MASTER", name)
    where, state = questions.execute(raise_on_error=False)
    if isinstance(where, redis.exceptions.NoPermissionError):
        return _REFUSED
    if isinstance(where, redis.exceptions.ResponseError) and "unknown command" in words_of(where).lower():
        return _NO_SENTINEL
    for reply in (where, state):
        if isinstance(reply, redis.exceptions.ConnectionError):
            raise reply
    if where is None or isinstance(state, redis.exceptions.ResponseError):
        return _UNKNOWN
    facts = dict(zip(state[::2], state[1::2], strict=True))
    at = where[0].decode(), int(where[1])
    # The Sentinel that leads a fail-over names the new server some moments before it describes it.
    describes_it = (facts[b"ip"].decode(), int(facts[b"port"])) == at
    return Answer(at, int(facts[b"config-epoch"]), is_down=describes_it and b"s_down" in facts[b"flags"].split(b","))
