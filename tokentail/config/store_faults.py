"""What is wrong with the URLs of Redis, in sentences. Whether a server at one of them suits, the preflight finds."""

from collections.abc import Iterator

from tokentail.config.redis_url import RedisUrl


def store_faults(redis_url: str, queue_url: str, buffer_url: str) -> Iterator[str]:
    """A sentence for each fault; an empty URL is not set."""
    named = {"REDIS_URL": redis_url, "TOKENTAIL_QUEUE_URL": queue_url, "TOKENTAIL_BUFFER_URL": buffer_url}
    queue_name = "TOKENTAIL_QUEUE_URL" if queue_url else "REDIS_URL"
    for name, url in named.items():
        try:
            is_cluster = bool(url and RedisUrl.parse(url).nodes)
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if is_cluster and name == queue_name:
            yield (
                f"{name}: the queue cannot be in a Cluster: set TOKENTAIL_BUFFER_URL to the Cluster, and "
                "TOKENTAIL_QUEUE_URL to one server or a primary that Sentinels name"
            )
    if bool(queue_url) != bool(buffer_url) and not redis_url:
        yield "TOKENTAIL_QUEUE_URL and TOKENTAIL_BUFFER_URL: set both, or REDIS_URL"
