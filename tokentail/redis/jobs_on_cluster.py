"""The client where jobs are on a Cluster: a job's keys are on its node, all other keys on the server with the queue.

So a node that is away holds up its own jobs alone. No script needs keys of both.
"""

from collections.abc import Iterator
from typing import Any

from redis.commands import CoreCommands

from tokentail.redis.cluster_client import ClusterClient, ClusterPipeline
from tokentail.redis.cluster_slots import key_in
from tokentail.redis.keys import job_of

_Commands: Any = CoreCommands  # redis-py annotates it as if a client had to be one of its own


class JobsOnCluster(_Commands):  # type: ignore[misc]
    """Sends each command to the client that has its key; those without a key to the Cluster."""

    def __init__(self, cluster: ClusterClient, others: Any) -> None:
        """`others` is a client of the server with the keys that are not of one job."""
        self.cluster = cluster
        self.others = others

    def client_of(self, key: str | bytes | None) -> Any:
        """The client that has the key, or takes commands without one."""
        if isinstance(key, bytes):
            key = key.decode("utf-8", "replace")
        return self.cluster if key is None or job_of(key) else self.others

    def execute_command(self, *command: Any, **options: Any) -> Any:
        """One command, and its reply."""
        return self.client_of(key_in(command)).execute_command(*command, **options)

    def pipeline(self, transaction: bool = True) -> "DividedPipeline":
        """A pipeline. Those without a transaction may have keys of both."""
        return DividedPipeline(self, is_transaction=transaction)

    def pubsub(self) -> Any:
        """A subscription at any node of the Cluster."""
        return self.cluster.pubsub()

    def scan_iter(self, match: str | None = None, count: int | None = None) -> Iterator[bytes]:
        """The keys of both."""
        for client in (self.cluster, self.others):
            yield from client.scan_iter(match, count)


class DividedPipeline(ClusterPipeline):
    """Commands that leave in two pipelines: first those beside the jobs, then those of jobs.

    When the first cannot be sent, the second is not, so that no job is made that is on no list.
    """

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies, in the order of the commands. An error is one of them, or is raised.

        A command without a key goes where the one before it goes, or to the Cluster.
        """
        commands, self._commands = self._commands, []
        client = self._client.cluster
        places: dict[Any, list[int]] = {self._client.others: [], client: []}
        for place, (command, _) in enumerate(commands):
            if (key := key_in(command)) is not None:
                client = self._client.client_of(key)
            places[client].append(place)
        replies: list[Any] = [None] * len(commands)
        for client, own in places.items():
            pipe = client.pipeline(transaction=self._is_transaction)
            for place in own:
                command, options = commands[place]
                pipe.execute_command(*command, **options)
            for place, reply in zip(own, pipe.execute(raise_on_error), strict=True):
                replies[place] = reply
        return replies
