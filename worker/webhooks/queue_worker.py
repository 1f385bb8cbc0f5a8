"""The worker of the webhooks' queue: RQ's, as for jobs, but with slots, a name and greenlets of its own.

A process has one beside its jobs. It takes no slot of theirs, and a fault of it ends no stream.
"""

import logging

import gevent

from tokentail.config.settings import Settings
from tokentail.redis.client import RedisClient
from tokentail.redis.keys import WEBHOOK_QUEUE_NAME
from tokentail.telemetry.log_lines import facts_of
from worker.running.rq_worker import GreenletWorker
from worker.webhooks.delivery import SLOTS

log = logging.getLogger(__name__)

_RETRY_S = 1.0


def deliver_until_stopped(client: RedisClient, worker: str, settings: Settings) -> None:
    """Try webhooks until the process stops; run it in a greenlet of its own."""
    starts = 0
    while True:
        starts += 1
        rq_worker = GreenletWorker(
            client,
            f"{worker}-webhooks-{starts}",
            SLOTS,
            settings.webhook_timeout_s,
            stop_job=lambda job_id: None,  # a try ends by itself within its time
            hand_over=lambda: None,  # the sweep enqueues what was not noted
            queue=WEBHOOK_QUEUE_NAME,
        )
        try:
            rq_worker.work_until_stopped()
            return
        except Exception as error:
            log.error("worker.round_failed", extra={"round": "webhooks", **facts_of(error)})
            gevent.sleep(_RETRY_S)
