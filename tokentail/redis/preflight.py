"""The preflight: whether Tokentail works with this Redis, looked at before anything runs, and told in words."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis

from tokentail.errors import SettingsError, StoreUnavailable
from tokentail.redis.client import RedisClient, address_of, connect, silent_sentinels
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.errors import NO_DATABASE, NoPrimary, redis_errors, words_of

log = logging.getLogger(__name__)

_LEAST_VERSION = (7, 0)  # scripts that declare themselves (#!lua), PEXPIRE with GT, SET with NX and GET
_ONE_SERVER = "set REDIS_URL to one server that takes writes"
_BY_SENTINELS = "to have Sentinels name the primary, write redis+sentinel://HOST:PORT,HOST:PORT/NAME"
_BY_NODES = "for jobs and logs on a Cluster set TOKENTAIL_BUFFER_URL to redis+cluster://HOST:PORT,HOST:PORT"


@dataclass(frozen=True)
class Verdict:
    """What was found of servers, as sentences. With faults nothing can work; a warning may pass; a note is a risk."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def judge(client: RedisClient) -> Verdict:
    """What is to be said of the server, or of a Cluster. Raises StoreUnavailable while nothing answers."""
    if not isinstance(client, ClusterClient):
        return _judge(client, is_node=False)
    at = _named(client)
    try:
        with redis_errors():
            nodes = client.servers()
    except StoreUnavailable as error:
        if fault := _refusal(at, error.__context__):
            return Verdict((fault,))
        raise
    except redis.exceptions.ResponseError as error:
        return Verdict((f"{at} is no Cluster ({words_of(error)}): write redis:// in the place of redis+cluster://",))
    verdicts, silent = [], []
    for node, of_node in nodes.items():
        try:
            verdicts.append(_judge(of_node, is_node=True))
        except StoreUnavailable:
            silent.append(f"Redis at {node}, a node of the Cluster, does not answer: its jobs wait")
    if client.uncovered:
        silent.append(f"{at}: no node has {client.uncovered} of the Cluster's slots, so their jobs wait")
    whole = _joined(verdicts)
    return Verdict(whole.faults, (*whole.warnings, *silent), whole.notes)


def judge_each(clients: Iterable[RedisClient]) -> Verdict:
    """`judge` of each server, once where clients share one."""
    return _joined([judge(client) for client in {address_of(client): client for client in clients}.values()])


def _judge(client: RedisClient, *, is_node: bool) -> Verdict:
    """What is to be said of one server, which should be a node of a Cluster or should not be one."""
    try:
        with redis_errors():
            about = client.info()
    except StoreUnavailable as error:
        if fault := _refusal(_named(client), error.__context__):
            return Verdict((fault,))
        raise
    except redis.exceptions.NoPermissionError:
        return Verdict()  # the user may not ask INFO, which nothing else depends on
    except (redis.exceptions.InvalidResponse, redis.exceptions.ResponseError) as error:
        if words_of(error).lower().startswith("unknown command"):
            return Verdict()  # the command was renamed or is left out, which is no harm either
        return Verdict((f"What answers as {_named(client)} is no Redis ({type(error).__name__}): {_ONE_SERVER}",))
    at = _named(client)
    silent = [f"the Sentinel at {each} does not answer" for each in silent_sentinels(client)]
    notes = (*_notes(at, about), *silent)
    return Verdict(tuple(_faults(at, about, is_node=is_node)), tuple(_warnings(at, about)), notes)


def _named(client: RedisClient) -> str:
    return f"Redis at {address_of(client)}"  # by Sentinels it is known when something was asked


def _refusal(at: str, cause: BaseException | None) -> str | None:
    """The sentence for an outage that does not pass by itself.

    A password may be corrected in Redis, too; but until then nothing works, and nobody would look there.
    """
    match cause:
        case NoPrimary(is_fault=True):
            return f"{at} cannot be used: {cause}; correct REDIS_URL or the Sentinels"
        case redis.exceptions.AuthenticationError():
            return f"{at} refuses the user or the password of REDIS_URL ({words_of(cause)})"
        case redis.exceptions.ResponseError() if words_of(cause).startswith(("DENIED", NO_DATABASE)):
            return f"{at} refuses every command ({words_of(cause)})"
    return None


def judge_all(urls: Iterable[str], timeout_s: float) -> tuple[Verdict, dict[str, str]]:
    """What is to be said of these servers; and which of them do not answer, by address, each with the error."""
    silent: dict[str, str] = {}
    verdicts = []
    for url in dict.fromkeys(urls):
        with connect(url, timeout_s=timeout_s) as client:
            try:
                verdicts.append(judge(client))
            except StoreUnavailable as error:
                silent[address_of(client)] = str(error)
    return _joined(verdicts), silent


def _joined(verdicts: Iterable[Verdict]) -> Verdict:
    parts = zip(*((each.faults, each.warnings, each.notes) for each in verdicts), strict=True)
    return Verdict(*(tuple(chain.from_iterable(part)) for part in parts))


def require_store(urls: Iterable[str], timeout_s: float) -> dict[str, str]:
    """The servers that do not answer yet, as `judge_all` has them. Raises SettingsError where nothing can work.

    When all servers answer, each warning is logged.
    """
    verdict, silent = judge_all(urls, timeout_s)
    if verdict.faults:
        raise SettingsError(list(verdict.faults))
    for warning in () if silent else verdict.warnings:
        log.warning("redis.unsuited", extra={"warning": warning})
    return silent


def _faults(at: str, about: Mapping[str, Any], *, is_node: bool) -> Iterable[str]:
    version = str(about.get("redis_version", ""))
    if _numbers(version) < _LEAST_VERSION:
        yield f"{at} has version {version}: 7.0 or newer is needed"
    match about.get("redis_mode") or about.get("server_mode"):  # Redis's word and Valkey's
        case "sentinel":
            yield f"{at} is a Sentinel, which keeps no data; {_BY_SENTINELS}"
        case "cluster" if not is_node:
            yield f"{at} is one node of a Cluster, which has only some of the keys; {_BY_NODES}"


def _warnings(at: str, about: Mapping[str, Any]) -> Iterable[str]:
    if about.get("role") in {"slave", "replica"}:
        yield f"{at} is a replica and takes no writes: until it is promoted, {_ONE_SERVER}"
    policy = about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield f"{at} drops keys when its memory is full (maxmemory-policy {policy}): set it to noeviction"


def _notes(at: str, about: Mapping[str, Any]) -> Iterable[str]:
    if not about.get("aof_enabled"):
        yield f"{at} has no append-only file: when it restarts, jobs and answers since its last snapshot are lost"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
