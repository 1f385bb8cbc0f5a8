"""The script client: sends script calls to one Redis, and decodes their replies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import redis

from tokentail.errors import LaterFormat, StoreUnavailable, Unreadable
from tokentail.redis.client import RedisClient, client_of, cluster_of
from tokentail.redis.errors import is_script_missing, redis_errors
from tokentail.redis.keys import job_of
from tokentail.redis.script import Command, Reply
from tokentail.telemetry.log_lines import tell_unreadable

_MOST_SUSPECTS = 1000


def by_digest(call: Command[Any]) -> tuple[Any, ...]:
    """The call as it is sent to a server that knows the script."""
    return "EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args


def whole(call: Command[Any]) -> tuple[Any, ...]:
    """The call with the script itself, which the server knows from then on."""
    return "EVAL", call.script.source, len(call.keys), *call.keys, *call.args


class ScriptClient:
    """Runs scripts on one Redis. Its methods raise this project's errors."""

    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self.cluster = cluster_of(client)  # asked for at each token
        self.suspects: set[str] = set()  # jobs of which this process could not read a key; the sweep looks at them

    def run(self, command: Command[Reply]) -> Reply:
        """Send one command and decode its reply."""
        with self.noting(), redis_errors(command.keys[0]):
            try:
                reply = self.client.execute_command(*by_digest(command))
            except redis.exceptions.NoScriptError:
                reply = self.client.execute_command(*whole(command))
            return command.answer(reply)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Log the key of an Unreadable job, and leave the job to the sweep. Other keys are mended by the caller."""
        try:
            yield
        except LaterFormat:
            raise
        except Unreadable as error:
            if job_id := job_of(error.key):
                tell_unreadable(error.key)
                if len(self.suspects) < _MOST_SUSPECTS:
                    self.suspects.add(job_id)
            raise

    def run_many(self, many: Sequence[Command[Reply]]) -> list[Reply | Exception]:
        """Send script calls in one round trip, all on jobs or all on other keys; each has its own outcome."""
        if not many:
            return []
        client = self.client if self.cluster is None else client_of(self.client, many[0].keys[0])
        replies = self._send_many(client, [by_digest(command) for command in many])
        # Servers of a Cluster learn scripts one by one; a replica that was promoted knows none.
        if missing := [place for place, reply in enumerate(replies) if is_script_missing(reply)]:
            again = self._send_many(client, [whole(many[place]) for place in missing])
            for place, reply in zip(missing, again, strict=True):
                replies[place] = reply
        return [self._outcome(command, reply) for command, reply in zip(many, replies, strict=True)]

    def run_all(self, many: Sequence[Command[Reply]]) -> list[Reply]:
        """As `run_many`. Raises the first error that is an outcome."""
        outcomes = self.run_many(many)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return cast("list[Reply]", outcomes)

    def run_each(self, many: Sequence[Command[Reply]]) -> list[Reply | Exception]:
        """Send script calls, on jobs, as `run_many` does; that no node of a Cluster answers is an outcome, too."""
        try:
            return self.run_many(many)
        except StoreUnavailable as error:
            if self.cluster is None:
                raise
            return [error] * len(many)

    def _outcome(self, command: Command[Any], reply: Any) -> Any:
        """What the reply means, or the error that it stands for."""
        try:
            with self.noting():
                return command.answer(reply)
        except Exception as error:
            return error

    def _send_many(self, client: RedisClient, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        with redis_errors():
            pipe = client.pipeline(transaction=False)
            for call in calls:
                pipe.execute_command(*call)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        return replies
