"""The client of a Cluster, for threads and greenlets: commands and pipelines as those of one server, split by slot.

redis-py's own client of a Cluster asks a node for the keys of each script call before it sends it. This one sends one
pipeline to each node, by a client of its own for the node.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import redis
from redis.commands import CoreCommands

from tokentail.config.address import Address
from tokentail.redis.cluster_slots import (
    FAULTS,
    LOOK_S,
    LOOK_TIMEOUT_S,
    SILENCES,
    Part,
    Queued,
    SlotMap,
    Split,
    key_in,
    note_node,
)

_AWAY_S = 1.0  # how long a node that did not answer is not asked whether it does
_Commands: Any = CoreCommands  # redis-py annotates it as if a client had to be one of its own


class ClusterClient(_Commands):  # type: ignore[misc]
    """Commands go to the node that has their key; those without a key to all nodes, and the first reply counts.

    Connects on first use. Errors are those that redis-py raises for one server.
    """

    def __init__(self, seeds: Sequence[Address], open_node: Callable[[Address, float], Any], timeout_s: float) -> None:
        """`open_node` makes a client of one node, for a time of each try; `seeds` are asked for the map first."""
        self.seeds = seeds
        self._open_node = open_node
        self._timeout_s = timeout_s
        self._clients: dict[tuple[Address, float], Any] = {}
        self._slots = SlotMap()
        self._away: dict[Address, float] = {}  # the nodes that did not answer last, and since when
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._client(seeds[0])  # which raises SettingsError now for a parameter of the URL that is not known

    # -- where things are ----------------------------------------------------------------------------------------------

    def node_of(self, key: str) -> Address | None:
        """The node that has a key; None while none is known."""
        return self._slots.owner_of(key)

    def servers(self) -> dict[Address, Any]:
        """A client of each node that has slots. Raises redis-py's ConnectionError when no node answers."""
        self.refresh()
        return {node: self._client(node) for node in self._slots.owners}

    @property
    def uncovered(self) -> int:
        """How many slots no node has."""
        return self._slots.uncovered

    def is_away(self, key: str) -> bool:
        """Whether the node that has a key did not answer when it was asked last.

        Such a node is asked again once a second, by one of the callers.
        """
        node = self._slots.owner_of(key)
        if node is None:
            return self._slots.is_known
        since = self._away.get(node)
        if since is None or time.monotonic() - since < _AWAY_S:
            return since is not None
        self._away[node] = time.monotonic()  # while this caller asks, the others do not
        try:
            with self._observed(node):
                self._client(node, min(self._timeout_s, LOOK_TIMEOUT_S)).ping()
        except FAULTS:
            self.refresh()  # a replica may have its slots by now
        return node in self._away

    @contextmanager
    def _observed(self, node: Address) -> Iterator[None]:
        """Note whether the node answers. An error that leaves the block names the node."""
        try:
            yield
        except FAULTS as error:
            note_node(error, node)
            if isinstance(error, SILENCES):
                self._away[node] = time.monotonic()
            else:
                self._away.pop(node, None)
            raise
        self._away.pop(node, None)

    def refresh(self) -> None:
        """Ask for the map of slots, unless that was done a moment ago. Raises ConnectionError if none is known."""
        # While one looks, the others go on with the map that they have.
        if not self._looking.acquire(blocking=not self._slots.is_known):
            return
        try:
            if time.monotonic() - self._looked_at < LOOK_S and self._slots.is_known:
                return
            self._look()
            self._looked_at = time.monotonic()
        finally:
            self._looking.release()

    def _look(self) -> None:
        refusal: Exception = redis.exceptions.ConnectionError("No node of the Cluster answers.")
        for node in self._slots.asked_next(self.seeds):
            try:
                told = self._client(node, min(self._timeout_s, LOOK_TIMEOUT_S)).execute_command("CLUSTER", "SLOTS")
            except FAULTS as error:
                note_node(error, node)
                refusal = error
                continue
            if self._slots.learn(told, node):
                return
            refusal = redis.exceptions.ClusterDownError("The Cluster has no slots.")
        if not self._slots.is_known:
            raise refusal

    def _client(self, node: Address, timeout_s: float | None = None) -> Any:
        at = node, timeout_s or self._timeout_s
        client = self._clients.get(at)
        if client is None:
            client = self._clients.setdefault(at, self._open_node(*at))
        return client

    # -- what redis-py's clients of one server have -------------------------------------------------------------------

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """One command, and its reply."""
        if key_in(command) is None:
            replies = []
            for node, client in self.servers().items():
                with self._observed(node):
                    replies.append(client.execute_command(*command, **options))
            return replies[0]
        reply = self.send([(command, options)])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, transaction: bool = True) -> "ClusterPipeline":
        """A pipeline. Those without a transaction may have keys on several nodes."""
        return ClusterPipeline(self, is_transaction=transaction)

    def pubsub(self) -> Any:
        """A subscription at any node, for channels on which little is published: each message reaches all nodes."""
        (client,) = random.sample(list(self.servers().values()), 1)
        return client.pubsub()

    def scan_iter(self, match: str | None = None, count: int | None = None) -> Iterator[bytes]:
        """The keys of all nodes."""
        for client in self.servers().values():
            yield from client.scan_iter(match, count)

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, commands: Sequence[Queued]) -> list[Any]:
        """The reply to each command, or its error. Raises redis-py's error when none could be sent."""
        if not self._slots.is_known:
            self.refresh()
        split = Split(self._slots, commands)
        while parts := split.parts():
            for part in parts:
                split.take(part, self._sent(part))
        if split.is_map_doubtful:
            self.refresh()
        if (lost := split.lost) is not None:
            raise lost
        return split.replies

    def _sent(self, part: Part) -> list[Any] | Exception:
        pipe = self._client(part.node).pipeline(transaction=False)
        part.fill(pipe)
        try:
            with self._observed(part.node):
                replies: list[Any] = pipe.execute(raise_on_error=False)
        except FAULTS as error:
            return error
        return part.own(replies)

    def transact(self, commands: Sequence[Queued], *, raise_on_error: bool) -> list[Any]:
        """All commands in one transaction at the node that has their keys, which are in one slot."""
        if not self._slots.is_known:
            self.refresh()
        (part,) = Split(self._slots, commands).parts()
        node = part.node
        for is_last in (False, True):
            pipe = self._client(node).pipeline(transaction=True)
            for command, options in commands:
                pipe.execute_command(*command, **options)
            try:
                with self._observed(node):
                    replies: list[Any] = pipe.execute(raise_on_error)
            except redis.exceptions.MovedError as moved:
                if is_last:
                    raise
                node = Address(moved.host or node.host, moved.port)
                self._slots.move(moved.slot_id, node)
            else:
                return replies
        raise AssertionError


class ClusterPipeline(_Commands):  # type: ignore[misc]
    """Commands that leave together, each to its node. The order holds between the commands of one node alone."""

    def __init__(self, client: Any, *, is_transaction: bool) -> None:
        """`client` is the one that made it."""
        self._client = client
        self._is_transaction = is_transaction
        self._commands: list[Queued] = []

    def execute_command(self, *command: Any, **options: Any) -> Self:
        """Add a command."""
        self._commands.append((command, options))
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies, in the order of the commands. An error is one of them, or is raised."""
        commands, self._commands = self._commands, []
        if not commands:
            return []
        if self._is_transaction:
            done: list[Any] = self._client.transact(commands, raise_on_error=raise_on_error)
            return done
        replies: list[Any] = self._client.send(commands)
        for reply in replies if raise_on_error else ():
            if isinstance(reply, Exception):
                raise reply
        return replies

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._commands = []
