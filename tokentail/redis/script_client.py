"""The script client: sends script calls to one Redis, and decodes their replies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from tokentail.errors import LaterFormat, Unreadable
from tokentail.redis.client import RedisClient
from tokentail.redis.errors import is_script_missing, redis_errors
from tokentail.redis.keys import job_of
from tokentail.redis.script import Command, Reply
from tokentail.telemetry.log_lines import tell_unreadable

_MOST_SUSPECTS = 1000


class ScriptClient:
    """Runs scripts on one Redis. Its methods raise this project's errors."""

    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self.suspects: set[str] = set()  # jobs of which this process could not read a key; the sweep looks at them

    def run(self, command: Command[Reply]) -> Reply:
        """Send one command and decode its reply."""
        script = command.script
        with self.noting(), redis_errors(command.keys[0]):
            try:
                reply = self.client.execute_command(
                    "EVALSHA", script.sha, len(command.keys), *command.keys, *command.args
                )
            except redis.exceptions.NoScriptError:
                reply = self.client.execute_command(
                    "EVAL", script.source, len(command.keys), *command.keys, *command.args
                )
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
        """Send calls of one script, on jobs, in one round trip; each has its own outcome."""
        if not many:
            return []
        replies = self._send_many(many)
        if any(is_script_missing(reply) for reply in replies):
            # All calls are of one script, and each can be repeated.
            with redis_errors():
                self.client.script_load(many[0].script.source)
            replies = self._send_many(many)
        return [self._outcome(command, reply) for command, reply in zip(many, replies, strict=True)]

    def _outcome(self, command: Command[Any], reply: Any) -> Any:
        """What the reply means, or the error that it stands for."""
        try:
            with self.noting():
                return command.answer(reply)
        except Exception as error:
            return error

    def _send_many(self, many: Sequence[Command[Reply]]) -> list[Any]:
        with redis_errors():
            pipe = self.client.pipeline(transaction=False)
            for command in many:
                pipe.execute_command("EVALSHA", command.script.sha, len(command.keys), *command.keys, *command.args)
            replies: list[Any] = pipe.execute(raise_on_error=False)
        return replies
