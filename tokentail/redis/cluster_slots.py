"""The cluster slots: which node has each key, and how commands are split over the nodes and sent on.

Pure: `cluster_client.py` and `async_cluster.py` send the parts. A command that a node refuses because its slot is
elsewhere is sent on to that node, alone; a node that is away spoils its own commands only.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tokentail.config.address import Address

LOOK_S = 0.2  # the least time between two looks at the map
LOOK_TIMEOUT_S = 0.5  # of each try; the next node is asked then
FAULTS = (redis.exceptions.RedisError, OSError)  # with which a round trip to a node fails
SILENCES = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)  # of a node that is away
_MOST_ROUNDS = 5  # of sending a command on; slots that move while it is under way take one each
# Commands without a key, by their first word; all others of this project begin with their key.
_KEYLESS = {
    *("ACL", "BGREWRITEAOF", "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "FLUSHALL", "INFO", "PING", "SCRIPT", "TIME"),
    *("WAIT", "WAITAOF"),
}

Arguments = tuple[Any, ...]
Queued = tuple[Arguments, dict[str, Any]]  # a command, and redis-py's options for its reply


def key_in(command: Arguments) -> str | bytes | None:
    """The key, or the first of several, by which a command finds its node; None where it needs none."""
    name = command[0]
    if name in {"EVALSHA", "EVAL"}:
        return command[3] if int(command[2]) else None
    if name.split(" ", 1)[0] in _KEYLESS or len(command) == 1:
        return None
    return command[1]  # type: ignore[no-any-return]


def note_node(error: BaseException, node: Address) -> None:
    """Have the error name the node that failed, for the message that is made of it."""
    error.add_note(f"{node}, a node of the Cluster")


def slot_of(key: str | bytes) -> int:
    """The slot of a key: of the part in braces, if it has one."""
    return key_slot(key.encode() if isinstance(key, str) else key)


class SlotMap:
    """Which node has each slot, as far as the nodes have told. It may be out of date: a node says so when asked."""

    def __init__(self) -> None:
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self.owners: list[Address] = []  # the nodes that have slots
        self.nodes: list[Address] = []  # of the Cluster, replicas included
        self.version = 0  # grows with each change

    @property
    def is_known(self) -> bool:
        """Whether any node has told anything."""
        return bool(self.nodes)

    @property
    def uncovered(self) -> int:
        """How many slots no node has."""
        return self._owners.count(None)

    def asked_next(self, seeds: Sequence[Address]) -> list[Address]:
        """The nodes to ask for the map, in an order that is another each time: any of them may be away."""
        known = random.sample(self.nodes, len(self.nodes))
        return list(dict.fromkeys((*known, *seeds)))

    def owner_of(self, key: str | bytes) -> Address | None:
        """The node that has a key; None when no node is known to have it."""
        return self._owners[slot_of(key)]

    def learn(self, ranges: Iterable[Sequence[Any]], asked: Address) -> bool:
        """Take in what the node `asked` has replied to CLUSTER SLOTS; False when it knows of no slots."""
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: dict[Address, None] = {}
        for first, last, *told in ranges:
            group = [_address(host, port, asked) for host, port, *_ in told]
            nodes |= dict.fromkeys(group)
            owners[first : last + 1] = [group[0]] * (last + 1 - first)
        if not nodes:
            return False
        if owners != self._owners:
            self._owners = owners
            self._changed()
        self.nodes = list(nodes)
        return True

    def move(self, slot: int, owner: Address) -> None:
        """A node has said that this other one has the slot now."""
        if self._owners[slot] != owner:
            self._owners[slot] = owner
            self._changed()

    def _changed(self) -> None:
        self.owners = [node for node in dict.fromkeys(self._owners) if node is not None]
        self.version += 1


@dataclass(frozen=True)
class Part:
    """Commands that go to one node in one round trip. With `is_asking`, each needs an ASKING before it."""

    node: Address
    is_asking: bool
    commands: list[Queued]
    places: list[int]  # of each in the whole

    def fill(self, pipe: Any) -> None:
        """Put the commands into a pipeline of redis-py."""
        for command, options in self.commands:
            if self.is_asking:
                pipe.execute_command("ASKING")
            pipe.execute_command(*command, **options)

    def own(self, replies: list[Any]) -> list[Any]:
        """The replies to the commands, of all that the pipeline received."""
        return replies[1::2] if self.is_asking else replies


class Split:
    """Commands on their way to the nodes. Send what `parts` gives, `take` the replies, until there are no parts.

    A command without a key goes where the one before it went, or anywhere.
    """

    def __init__(self, slots: SlotMap, commands: Sequence[Queued]) -> None:
        self._slots = slots
        self._commands = commands
        self.replies: list[Any] = [None] * len(commands)
        self.is_map_doubtful = False  # whether the map should be asked for again
        self._waiting: list[tuple[int, Address | None]] = [(place, None) for place in range(len(commands))]
        self._rounds = 0
        self._unsent = 0
        self._failure: Exception | None = None

    @property
    def lost(self) -> Exception | None:
        """The error, if all round trips have failed."""
        return self._failure if self._unsent == len(self._commands) else None

    def parts(self) -> list[Part]:
        """What is to be sent now: one part for each node."""
        parts: dict[tuple[Address, bool], Part] = {}
        before: Address | None = None
        part: Part | None = None
        anywhere = self._slots.owners[0] if self._slots.owners else None
        for place, asked in self._waiting:
            key = key_in(self._commands[place][0])
            owner = (self._slots.owner_of(key) if key is not None else before) or anywhere
            node = before = asked or owner
            if node is None:
                raise redis.exceptions.ConnectionError("No node of the Cluster is known.")
            is_asking = asked is not None
            if part is None or node is not part.node or is_asking is not part.is_asking:  # most go where the last went
                part = parts.get((node, is_asking))
                if part is None:
                    part = parts[node, is_asking] = Part(node, is_asking, [], [])
            part.commands.append(self._commands[place])
            part.places.append(place)
        self._waiting = []
        self._rounds += 1
        return list(parts.values())

    def take(self, part: Part, replies: Sequence[Any] | Exception) -> None:
        """Take in the replies of a part, or the error with which its round trip failed."""
        if isinstance(replies, Exception):
            self.is_map_doubtful = True
            self._failure = replies
            self._unsent += len(part.places)
            replies = [replies] * len(part.places)
        elif len(part.places) == len(self.replies) and not any(isinstance(reply, Exception) for reply in replies):
            self.replies = list(replies)
            return
        sent_on_to: tuple[Address | None] | None = None  # the command before
        for place, reply in zip(part.places, replies, strict=True):
            self.replies[place] = reply
            if key_in(self._commands[place][0]) is None and sent_on_to is not None:
                self._waiting.append((place, *sent_on_to))  # it goes where the one before it goes
                continue
            sent_on_to = None
            if isinstance(reply, redis.exceptions.AskError) and self._rounds < _MOST_ROUNDS:
                node = _address(reply.host, reply.port, part.node)
                is_moved = isinstance(reply, redis.exceptions.MovedError)
                if is_moved:
                    self._slots.move(reply.slot_id, node)
                sent_on_to = (None if is_moved else node,)
                self._waiting.append((place, *sent_on_to))
            elif isinstance(reply, redis.exceptions.ClusterDownError):
                self.is_map_doubtful = True


def _address(host: Any, port: Any, told_by: Address) -> Address:
    """The address of a node as another tells it, which may leave out a host that is its own."""
    name = host.decode() if isinstance(host, bytes) else host
    return Address(name if name and name != "?" else told_by.host, int(port))
