"""What a store holds of one job at one moment, and a way back to it: a fail-over to a replica that lagged behind."""

from dataclasses import dataclass
from typing import Any

from tokentail.redis.client import RedisClient
from tokentail.redis.keys import live_channel


def job_keys(job_id: str) -> tuple[str, str, str]:
    """Record, log and request: all that there is of a job in its slot."""
    log = live_channel(job_id)
    slot = log.removesuffix("log")
    return f"{slot}job", log, f"{slot}request"


@dataclass(frozen=True)
class KeySnapshot:
    """The three keys of a job, with the time each has left (milliseconds; negative: no expiry, or no key)."""

    names: tuple[str, str, str]
    record: dict[bytes, bytes]
    log: list[bytes]
    request: bytes | None
    ttls_ms: tuple[int, ...]

    def restore(self, client: RedisClient) -> None:
        """Make the store hold exactly this."""
        record, log, request = self.names
        pipe = client.pipeline(transaction=True)
        pipe.delete(*self.names)
        if self.record:
            pipe.hset(record, mapping=self.record)
        if self.log:
            pipe.rpush(log, *self.log)
        if self.request is not None:
            pipe.set(request, self.request)
        for name, ttl_ms in zip(self.names, self.ttls_ms, strict=True):
            if ttl_ms >= 0:
                pipe.pexpire(name, ttl_ms)
        pipe.execute()


def take_snapshot(client: RedisClient, job_id: str) -> KeySnapshot:
    """What the store holds of the job now."""
    names = job_keys(job_id)
    pipe = client.pipeline(transaction=True)
    pipe.hgetall(names[0])
    pipe.lrange(names[1], 0, -1)
    pipe.get(names[2])
    for name in names:
        pipe.pttl(name)
    replies: list[Any] = pipe.execute()
    record, log, request, *ttls_ms = replies
    return KeySnapshot(names, record, log, request, tuple(ttls_ms))
