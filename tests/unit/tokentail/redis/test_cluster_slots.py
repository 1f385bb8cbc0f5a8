"""The split of commands over the nodes of a Cluster: what goes where, and what follows from each reply."""

from typing import Any

import pytest
import redis

from tokentail.config.address import Address
from tokentail.redis.cluster_slots import Queued, SlotMap, Split, key_in, slot_of
from tokentail.redis.keys import job_keys

A, B = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)
HALF = 8192
IN_A, IN_B = "tt:{a}:job", "tt:{b}:job"  # the second half has the slot of {a}


def the_map() -> SlotMap:
    slots = SlotMap()
    replica = [b"10.0.0.9", 6379, b"id"]
    low, high = [[b"10.0.0.2", 6379, b"id"], replica], [[b"10.0.0.1", 6379, b"id"]]
    assert slots.learn([[0, HALF - 1, *low], [HALF, 16383, *high]], A)
    return slots


def command(key: str) -> Queued:
    return ("GET", key), {}


def error(kind: type[Exception], text: str) -> Any:
    return kind(text)


def test_all_keys_of_a_job_are_in_one_slot() -> None:
    """Redis refuses a script whose keys are in several."""
    assert len({slot_of(key) for key in job_keys("0" * 26)}) == 1


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (("EVALSHA", "digest", 2, "k", "l", "argument"), "k"),
        (("EVAL", "source", 0, "argument"), None),
        (("HGET", "k", "field"), "k"),
        (("MEMORY USAGE", b"k"), b"k"),
        (("SCRIPT LOAD", "source"), None),
        (("CONFIG SET", "name", "value"), None),
        (("PING",), None),
        (("WAIT", 1, 100), None),
    ],
)
def test_a_command_finds_its_node_by_its_first_key(sent: tuple[Any, ...], key: str | bytes | None) -> None:
    """Commands without a key find any node."""
    assert key_in(sent) == key


def test_the_map_has_primaries_and_knows_replicas() -> None:
    """Commands go to primaries alone; any node can be asked for the map."""
    slots = the_map()
    assert (slots.owner_of(IN_A), slots.owner_of(IN_B)) == (A, B)
    assert set(slots.owners) == {A, B}
    assert set(slots.asked_next([Address("seed", 1)])) == {A, B, Address("10.0.0.9", 6379), Address("seed", 1)}
    assert slots.uncovered == 0


def test_a_node_that_does_not_know_its_own_name_is_the_one_that_was_asked() -> None:
    """Such as a Cluster of one node that has met no other."""
    slots = SlotMap()
    slots.learn([[0, 16383, [b"", 7000, b"id"]]], A)
    assert slots.owner_of(IN_A) == Address(A.host, 7000)


def test_a_map_without_slots_is_ignored() -> None:
    """A node that was started and has joined no Cluster must not empty the map of those that have."""
    slots = the_map()
    assert not slots.learn([], A)
    assert slots.owner_of(IN_A) == A


def test_only_a_change_makes_a_new_version() -> None:
    """Subscriptions look at the version to see whether slots have moved."""
    slots = the_map()
    before = slots.version
    slots.learn([[0, HALF - 1, [b"10.0.0.2", 6379, b"id"]], [HALF, 16383, [b"10.0.0.1", 6379, b"id"]]], B)
    assert slots.version == before
    slots.move(slot_of(IN_A), B)
    assert slots.version == before + 1


def test_commands_are_split_by_node_and_their_replies_joined_in_order() -> None:
    """One part for each node, whatever the order of the commands."""
    split = Split(the_map(), [command(IN_A), command(IN_B), command(IN_A)])
    parts = {part.node: part for part in split.parts()}
    assert {node: part.places for node, part in parts.items()} == {A: [0, 2], B: [1]}
    split.take(parts[B], ["b"])
    split.take(parts[A], ["a", "c"])
    assert split.parts() == []
    assert split.replies == ["a", "b", "c"]


def test_a_command_without_a_key_follows_the_one_before_it() -> None:
    """WAIT waits for the writes of its own connection."""
    split = Split(the_map(), [command(IN_A), command(IN_B), (("WAIT", 1, 100), {})])
    assert {part.node: part.places for part in split.parts()} == {A: [0], B: [1, 2]}


def test_a_moved_command_is_sent_on_alone_and_the_map_learns() -> None:
    """The other replies of the same round trip stand."""
    slots = the_map()
    split = Split(slots, [command(IN_A), command("tt:{a}:log"), command("tt:{a}:request")])
    (part,) = split.parts()
    moved = error(redis.exceptions.MovedError, f"{slot_of(IN_A)} 10.0.0.2:6379")
    split.take(part, [moved, "taken", "taken"])
    (again,) = split.parts()
    assert (again.node, again.is_asking, again.places) == (B, False, [0])
    assert slots.owner_of(IN_A) == B


def test_an_asking_command_is_sent_on_and_the_map_stays() -> None:
    """The slot is on its way: its next key may still be where it was."""
    slots = the_map()
    split = Split(slots, [command(IN_A)])
    (part,) = split.parts()
    split.take(part, [error(redis.exceptions.AskError, f"{slot_of(IN_A)} 10.0.0.2:6379")])
    (again,) = split.parts()
    assert (again.node, again.is_asking) == (B, True)
    split.take(again, ["there"])
    assert (split.replies, slots.owner_of(IN_A)) == (["there"], A)


def test_a_wait_is_sent_on_with_the_write_before_it() -> None:
    """The node that refused the write has nothing to wait for, and would call it replicated."""
    split = Split(the_map(), [command(IN_A), (("WAIT", 1, 100), {})])
    (part,) = split.parts()
    split.take(part, [error(redis.exceptions.MovedError, f"{slot_of(IN_A)} 10.0.0.2:6379"), 1])
    (again,) = split.parts()
    assert (again.node, again.places) == (B, [0, 1])
    split.take(again, ["written", 0])
    assert split.replies == ["written", 0]


def test_a_command_that_is_sent_on_in_a_circle_ends() -> None:
    """Two nodes that each name the other would otherwise keep the process busy for ever."""
    slots = the_map()
    split = Split(slots, [command(IN_A)])
    rounds = 0
    while parts := split.parts():
        rounds += 1
        other = "10.0.0.2" if parts[0].node == A else "10.0.0.1"
        split.take(parts[0], [error(redis.exceptions.MovedError, f"{slot_of(IN_A)} {other}:6379")])
    assert rounds == 5
    assert isinstance(split.replies[0], redis.exceptions.MovedError)


def test_a_node_that_is_away_spoils_its_own_commands_alone() -> None:
    """The others have their replies, and the map is asked for again."""
    split = Split(the_map(), [command(IN_A), command(IN_B)])
    away = redis.exceptions.ConnectionError("away")
    for part in split.parts():
        split.take(part, away if part.node == A else ["b"])
    assert (split.replies, split.is_map_doubtful, split.lost) == ([away, "b"], True, None)


def test_when_nothing_could_be_sent_the_error_is_that_of_the_whole() -> None:
    """As of one server that is away."""
    split = Split(the_map(), [command(IN_A), command(IN_B)])
    away = redis.exceptions.ConnectionError("away")
    for part in split.parts():
        split.take(part, away)
    assert split.lost is away


def test_a_cluster_that_is_down_makes_the_map_doubtful() -> None:
    """A fail-over may be over, and another node have the slot."""
    split = Split(the_map(), [command(IN_A)])
    (part,) = split.parts()
    split.take(part, [error(redis.exceptions.ClusterDownError, "Hash slot not served")])
    assert split.is_map_doubtful
