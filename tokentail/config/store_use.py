"""The uses of Redis: which URL serves for what, and the name of the setting that has it."""

from dataclasses import dataclass, field

from tokentail.config.settings import Settings


@dataclass(frozen=True)
class StoreUse:
    """One Redis as the settings have it. The URL is empty where `up` starts its own."""

    url: str = field(default="", repr=False)
    setting: str = "REDIS_URL"
    awaits_replica: bool = False  # submissions wait until a replica has the job


def uses_of(settings: Settings) -> list[StoreUse]:
    """The Redis of jobs and logs, and that of the queue where it is another one."""
    logs = "TOKENTAIL_BUFFER_URL" if settings.buffer_url else "REDIS_URL"
    queue = "TOKENTAIL_QUEUE_URL" if settings.queue_url else "REDIS_URL"
    awaits_replica = settings.submit_wait_ms > 0
    if settings.buffer == settings.queue:
        return [StoreUse(settings.buffer, " and ".join(dict.fromkeys((logs, queue))), awaits_replica)]
    return [StoreUse(settings.buffer, logs, awaits_replica), StoreUse(settings.queue, queue)]
