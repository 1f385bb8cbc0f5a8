"""A subscription to one job's channel, where the product has its own: in a Cluster at the node that has the job."""

from typing import Any

from tokentail.redis.client import RedisClient
from tokentail.redis.jobs_on_cluster import JobsOnCluster
from tokentail.redis.keys import live_channel


def subscribe(client: RedisClient, job_id: str, *more: str) -> Any:
    """Subscribed to the job's channel, and to `more` in its cluster slot; each confirmation has arrived."""
    channels = (live_channel(job_id), *more)
    if isinstance(client, JobsOnCluster):
        servers = client.cluster.servers()
        node = client.cluster.node_of(channels[0])
        assert node is not None
        client = servers[node]
    pubsub = client.pubsub()
    pubsub.subscribe(*channels)
    for _ in channels:
        confirmation = pubsub.get_message(timeout=5)
        assert confirmation is not None
    return pubsub
