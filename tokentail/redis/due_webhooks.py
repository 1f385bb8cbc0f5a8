"""The webhooks that are due: an index, by the time of the next try, of the ended jobs whose record says so.

The record is the truth. A job enters the index when it is counted out of the open jobs, which happens after its end and
is repeated by the sweep until it has happened; an index that was lost is rebuilt from the records.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tokentail.identifiers import job_id_in
from tokentail.jobs.job import Retention
from tokentail.jobs.webhook import KEPT_MS, Webhook, webhook_of
from tokentail.redis import scripts
from tokentail.redis.errors import redis_errors
from tokentail.redis.keys import REBUILD, WEBHOOKS, record_of
from tokentail.redis.mending import expel, is_wrong_type, mended
from tokentail.redis.script_client import ScriptClient

log = logging.getLogger(__name__)


class DueWebhooks(ScriptClient):
    """Which webhooks are due, and when. All of it is empty where no receivers are configured."""

    retention: Retention

    def index_webhooks(self, job_ids: Sequence[str]) -> None:
        """Put those of the jobs into the index whose record says that a webhook is due, for a try at once."""
        if not self.retention.webhook_ms or not job_ids:
            return
        with redis_errors():
            pipe = self.client.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hexists(record_of(job_id), "webhook")
            replies = pipe.execute(raise_on_error=False)
            for reply in replies:
                # A record of another type is closed by the sweep, which notes the webhook anew.
                if isinstance(reply, Exception) and not is_wrong_type(reply):
                    raise reply
        if due := [job_id for job_id, is_due in zip(job_ids, replies, strict=True) if is_due == 1]:
            self._put(0, due, "NX")

    def due_webhooks(self, now_ms: int, most: int) -> list[str]:
        """At most `most` jobs whose webhook is to be tried now, the most overdue first. Foreign entries are removed."""

        def read() -> list[bytes]:
            pipe = self.client.pipeline(transaction=False)
            pipe.zrangebyscore(WEBHOOKS, now_ms + KEPT_MS, "+inf", start=0, num=most)  # no time of ours
            pipe.zrangebyscore(WEBHOOKS, "-inf", now_ms, start=0, num=most)
            return [member for members in pipe.execute() for member in members]

        members: list[bytes] = self._on_index(read)[:most]
        if foreign := [member for member in members if job_id_in(member) is None]:
            with redis_errors(WEBHOOKS):
                expel(self.client, WEBHOOKS, "zset", foreign)
        return [job_id for member in members if (job_id := job_id_in(member))]

    def hold_webhooks(self, job_ids: Sequence[str], until_ms: int) -> None:
        """A try of these is under way: nobody else need try them until then."""
        if job_ids:
            self._put(until_ms, job_ids, "XX")

    def webhook(self, job_id: str) -> Webhook | None:
        """What is due; None when nothing is, or the record is not there any more. Garbage is removed."""
        key = record_of(job_id)
        with redis_errors(key):
            noted, ended_at, owner = self.client.hmget(key, "webhook", "ended_at", "owner")
            if noted is None:
                return None
            webhook = webhook_of(job_id, noted, ended_at, owner or b"")
            if webhook is None or webhook.noted.encode() != noted:
                self.client.hdel(key, "webhook")
                log.warning("key.cleaned", extra={"key": key, "members": 1})
                return None
        return webhook

    def note_webhook(self, before: Webhook, after: Webhook | None, next_at_ms: int = 0) -> None:
        """Note what a try has come to; without `after`, nothing is due any more. A repeat changes nothing."""
        if self.run(scripts.note_webhook(before.job_id, before.noted, after.noted if after else "")):
            if after:
                self._put(next_at_ms, [before.job_id])
            else:
                self.unindex_webhook(before.job_id)

    def unindex_webhook(self, job_id: str) -> None:
        """Take the job out of the index: its record says that nothing is due."""
        self._on_index(lambda: self.client.zrem(WEBHOOKS, job_id))

    def webhook_count(self) -> int:
        """How many webhooks are due, now or later."""
        return int(self._on_index(lambda: self.client.zcard(WEBHOOKS)))

    def _put(self, at_ms: int, job_ids: Sequence[str], *options: str) -> None:
        """Write the time of these jobs, even when Redis is full: jobs that have ended must be counted out."""
        pairs = [part for job_id in job_ids for part in (at_ms, job_id)]
        self._on_index(lambda: self.client.execute_command(*scripts.vital(WEBHOOKS, "ZADD", *options, *pairs)))

    def _on_index(self, call: Callable[[], Any]) -> Any:
        with redis_errors(WEBHOOKS):
            return mended(self.client, {WEBHOOKS: "zset"}, call, REBUILD)
