"""The preflight: whether Tokentail works with this Redis, looked at before anything runs, and told in words."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from itertools import chain
from typing import Any

import redis

from tokentail.config.store_use import StoreUse
from tokentail.errors import SettingsError, StoreUnavailable
from tokentail.redis.client import RedisClient, address_of, connect, silent_sentinels
from tokentail.redis.cluster_client import ClusterClient
from tokentail.redis.errors import NO_DATABASE, REPLIED_ERRORS, NoPrimary, redis_errors, words_of

log = logging.getLogger(__name__)

_LEAST_VERSION = (7, 0)  # scripts that declare themselves (#!lua), PEXPIRE with GT, SET with NX and GET
NEARLY_FULL = 0.9  # the part of its memory beyond which a Redis is warned of
_DISK = "look at its log, and at the space and the rights on its disk"
_ANY_USE = StoreUse()
_BY_SENTINELS = "to have Sentinels name the primary, write redis+sentinel://HOST:PORT,HOST:PORT/NAME"
_BY_NODES = "for jobs and logs on a Cluster set TOKENTAIL_BUFFER_URL to redis+cluster://HOST:PORT,HOST:PORT"


@dataclass(frozen=True)
class Verdict:
    """What was found of servers, as sentences. With faults nothing can work; a warning may pass; a note is a risk.

    `fullness` has further warnings, of memory that is nearly used up.
    """

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fullness: tuple[str, ...] = ()


def judge(client: RedisClient, use: StoreUse = _ANY_USE) -> Verdict:
    """What is to be said of the server, or of a Cluster. Raises StoreUnavailable while nothing answers."""
    if not isinstance(client, ClusterClient):
        return _judge(client, use, is_node=False)
    at = _named(client)
    try:
        with redis_errors():
            nodes = client.servers()
    except StoreUnavailable as error:
        if fault := _refusal(at, error.__context__, use):
            return Verdict((fault,))
        raise
    except redis.exceptions.ResponseError as error:
        return Verdict((f"{at} is no Cluster ({words_of(error)}): write redis:// in the place of redis+cluster://",))
    verdicts, silent = [], []
    for node, of_node in nodes.items():
        try:
            verdicts.append(_judge(of_node, use, is_node=True))
        except StoreUnavailable:
            silent.append(f"Redis at {node}, a node of the Cluster, does not answer: its jobs wait")
    if client.uncovered:
        silent.append(f"{at}: no node has {client.uncovered} of the Cluster's slots, so their jobs wait")
    whole = _joined(verdicts)
    return replace(whole, warnings=(*whole.warnings, *silent))


def judge_each(clients: Iterable[tuple[RedisClient, StoreUse]]) -> Verdict:
    """`judge` of each server."""
    return _joined([judge(client, use) for client, use in clients])


def _judge(client: RedisClient, use: StoreUse, *, is_node: bool) -> Verdict:
    """What is to be said of one server, which should be a node of a Cluster or should not be one."""
    try:
        with redis_errors():
            about = client.info()
    except StoreUnavailable as error:
        if fault := _refusal(_named(client), error.__context__, use):
            return Verdict((fault,))
        raise
    except redis.exceptions.NoPermissionError:
        return Verdict()  # the user may not ask INFO, which nothing else depends on
    except (redis.exceptions.InvalidResponse, redis.exceptions.ResponseError) as error:
        if words_of(error).lower().startswith("unknown command"):
            return Verdict()  # the command was renamed or is left out, which is no harm either
        return Verdict((f"What answers as {_named(client)} is no Redis ({type(error).__name__}): {_one_server(use)}",))
    at = _named(client)
    silent = [f"the Sentinel at {each} does not answer" for each in silent_sentinels(client)]
    notes = (*_notes(at, about), *silent)
    warnings = (*_warnings(at, about, use), *_replica_warnings(at, about, use, client))
    return Verdict(tuple(_faults(at, about, is_node=is_node)), warnings, notes, tuple(_fullness(at, about)))


def _named(client: RedisClient) -> str:
    return f"Redis at {address_of(client)}"  # by Sentinels it is known when something was asked


def _one_server(use: StoreUse) -> str:
    return f"set {use.setting} to one server that takes writes"


def _refusal(at: str, cause: BaseException | None, use: StoreUse) -> str | None:
    """The sentence for an outage that does not pass by itself.

    A password may be corrected in Redis, too; but until then nothing works, and nobody would look there.
    """
    match cause:
        case NoPrimary(is_fault=True):
            return f"{at} cannot be used: {cause}; correct {use.setting} or the Sentinels"
        case redis.exceptions.AuthenticationError():
            return f"{at} refuses the user or the password of {use.setting} ({words_of(cause)})"
        case redis.exceptions.ResponseError() if words_of(cause).startswith(("DENIED", NO_DATABASE)):
            return f"{at} refuses every command ({words_of(cause)})"
    return None


def judge_all(uses: Iterable[StoreUse], timeout_s: float) -> tuple[Verdict, dict[str, str]]:
    """What is to be said of the servers that have a URL; and the error of each that does not answer, by address."""
    silent: dict[str, str] = {}
    verdicts = []
    for use in uses:
        if not use.url:
            continue
        with connect(use.url, timeout_s=timeout_s, setting=use.setting) as client:
            try:
                verdicts.append(judge(client, use))
            except StoreUnavailable as error:
                silent[address_of(client)] = ". ".join(filter(None, (error.reason, error.remedy))) or str(error)
    return _joined(verdicts), silent


def _joined(verdicts: Iterable[Verdict]) -> Verdict:
    parts = zip(*map(astuple, verdicts), strict=True)
    return Verdict(*(tuple(chain.from_iterable(part)) for part in parts))


def require_store(uses: Iterable[StoreUse], timeout_s: float) -> dict[str, str]:
    """The servers that do not answer yet, as `judge_all` has them. Raises SettingsError where nothing can work.

    When all servers answer, each warning is logged.
    """
    verdict, silent = judge_all(uses, timeout_s)
    if verdict.faults:
        raise SettingsError(list(verdict.faults))
    for warning in () if silent else verdict.warnings + verdict.fullness:
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


def _warnings(at: str, about: Mapping[str, Any], use: StoreUse) -> Iterable[str]:
    if about.get("role") in {"slave", "replica"}:
        yield f"{at} is a replica and takes no writes: until it is promoted, {_one_server(use)}"
    policy = about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield f"{at} drops keys when its memory is full (maxmemory-policy {policy}): set it to noeviction"
    if about.get("aof_last_write_status") == "err":
        yield f"{at} refuses writes, because it cannot write to its append-only file: {_DISK}"
    if about.get("rdb_last_bgsave_status") == "err":
        yield f"{at} could not save its last snapshot, and may refuse writes until it can: {_DISK}"


def _replica_warnings(at: str, about: Mapping[str, Any], use: StoreUse, client: RedisClient) -> Iterable[str]:
    good = about.get("min_slaves_good_slaves")  # which is there only while some replicas are required
    if good is not None and good < (least := _least_replicas(client)):
        yield (
            f"{at} refuses writes, because too few of its replicas are connected and up to date ({good}, and "
            f"min-replicas-to-write is {least}): start replicas, or lower it"
        )
    if use.awaits_replica and about.get("role") == "master" and about.get("connected_slaves") == 0:
        yield (
            f"{at} has no replica, and TOKENTAIL_SUBMIT_WAIT_MS has each submission wait for one: "
            "start a replica, or set it to 0"
        )


def _least_replicas(client: RedisClient) -> int:
    """How many replicas the server requires before it takes writes; at least 1 where its user may not ask."""
    name = "min-replicas-to-write"
    try:
        with redis_errors():
            return int(client.config_get(name).get(name, 1))
    except REPLIED_ERRORS:
        return 1


def _fullness(at: str, about: Mapping[str, Any]) -> Iterable[str]:
    used, most = about.get("used_memory", 0), about.get("maxmemory", 0)
    if most and used > NEARLY_FULL * most:
        yield (
            f"{at} has used {min(used / most, 1):.0%} of its memory, and refuses writes when it is full: "
            "raise its maxmemory, or lower TOKENTAIL_RETENTION_S"
        )


def _notes(at: str, about: Mapping[str, Any]) -> Iterable[str]:
    if not about.get("aof_enabled"):
        yield f"{at} has no append-only file: when it restarts, jobs and answers since its last snapshot are lost"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
