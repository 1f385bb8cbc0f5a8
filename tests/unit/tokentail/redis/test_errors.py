"""The seam at which Redis's errors become ours: an outage by any name, a full store, and mistakes of this project."""

import socket

import pytest
import redis

from tokentail.errors import StoreFull, StoreUnavailable, Unreadable
from tokentail.redis.client import connect
from tokentail.redis.errors import NoPrimary, kind_of, redis_errors


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.ConnectionError("Error 111 connecting to host:6379"),
        redis.exceptions.TimeoutError("Timeout reading from socket"),
        redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.exceptions.AuthenticationError("invalid username-password pair"),
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
        redis.exceptions.MasterDownError("Link with MASTER is down"),
        redis.exceptions.ClusterDownError("The cluster is down"),
        redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
        redis.exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.exceptions.ResponseError("BUSY Redis is busy running a script."),
        redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.exceptions.ResponseError(
            "Command # 1 (HSET a b c) of pipeline caused error: NOREPLICAS Not enough good replicas to write."
        ),
        redis.exceptions.ResponseError(
            "Command # 2 (SET a b) of pipeline caused error: MISCONF Errors writing to the AOF"
        ),
        redis.exceptions.ResponseError("DENIED Redis is running in protected mode"),
        redis.exceptions.ResponseError("DB index is out of range"),
        ConnectionResetError(),
        BrokenPipeError(),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:12]}",
)
def test_an_outage_by_any_name_is_an_outage(error: Exception) -> None:
    """The caller may try again, and sees no error class of redis-py."""
    with pytest.raises(StoreUnavailable), redis_errors():
        raise error


def test_an_outage_is_told_in_the_words_of_redis_alone() -> None:
    """redis-py adds the command with its arguments, which may be contents, to errors in a pipeline."""
    error = redis.exceptions.ResponseError(
        "Command # 1 (SET a secret) of pipeline caused error: NOREPLICAS Not enough."
    )
    with pytest.raises(StoreUnavailable, match="NOREPLICAS Not enough") as told, redis_errors():
        raise error
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), "it is a replica"),
        (redis.exceptions.ResponseError("MISCONF Errors writing to the AOF"), "cannot save them to its disk"),
        (redis.exceptions.ResponseError("BUSY Redis is busy running a script."), "SCRIPT KILL"),
        (redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "Start replicas"),
        (redis.exceptions.AuthenticationError("invalid username-password pair"), "the user or the password"),
        (redis.exceptions.ConnectionError("max number of clients reached"), "maxclients"),
    ],
)
def test_a_refusal_says_that_redis_refuses_and_what_to_do(error: Exception, words: str) -> None:
    """Redis answers, so that an operator who looks for a silent one would look in vain."""
    with pytest.raises(StoreUnavailable, match="Redis refuses") as refused, redis_errors():
        raise error
    assert words in str(refused.value)
    assert refused.value.remedy in str(refused.value)
    assert "does not answer" not in str(refused.value)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "^The name of the host of Redis was not found",
        ),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "no name server answered"),
        (ConnectionRefusedError(111, "Connection refused"), "the connection was refused"),
        (NoPrimary("no Sentinel answers"), "no Sentinel answers"),
    ],
    ids=["name", "look-up", "port", "Sentinels"],
)
def test_an_outage_names_the_part_at_fault(cause: Exception, words: str) -> None:
    """redis-py hides the cause behind an error of its own, for coroutines also that of the Sentinels."""
    error = redis.exceptions.ConnectionError("Error connecting to host:6379.")
    error.__context__ = cause
    with pytest.raises(StoreUnavailable, match=words), redis_errors():
        raise error


def test_no_memory_is_told_apart_from_an_outage() -> None:
    """Trying again at once would not help."""
    with pytest.raises(StoreFull), redis_errors():
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


def test_our_own_mistakes_are_not_outages() -> None:
    """A faulty script is a bug, and trying again would hide it."""
    with pytest.raises(redis.exceptions.ResponseError), redis_errors():
        raise redis.exceptions.ResponseError("ERR Error compiling script")


def test_a_key_of_the_wrong_type_is_named() -> None:
    """Somebody else wrote there; the log line needs the key, and a client must not learn it."""
    with pytest.raises(Unreadable) as refused, redis_errors("tt:owner:a"):
        raise redis.exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
    assert (refused.value.key, "tt:" in str(refused.value)) == ("tt:owner:a", False)


def test_an_address_with_its_password_is_not_repeated() -> None:
    """What goes wrong while connecting ends up in logs."""
    client = connect("redis://:hidden@127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreUnavailable) as refused, redis_errors():
        client.ping()
    client.close()
    assert "hidden" not in str(refused.value)


def test_the_kind_of_a_refusal_is_its_word() -> None:
    """A log line with the class alone would have the same `ResponseError` for all of them."""
    assert kind_of(redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write.")) == "NOREPLICAS"
    assert kind_of(redis.exceptions.ResponseError("wrong number of arguments")) == "ResponseError"
    assert kind_of(redis.exceptions.ConnectionError("NOT for logs")) == "ConnectionError"
