"""A round trip: commands and script calls that leave together, and that Redis runs in the order of their adding.

It is no transaction: each call has its own outcome, and other clients' commands may come between two of them.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tokentail.redis.client import RedisClient
from tokentail.redis.errors import REPLIED_ERRORS, is_script_missing, redis_errors
from tokentail.redis.keys import replicated_mark
from tokentail.redis.script import Command, Reply

Value = TypeVar("Value")


class Outcome(Generic[Value]):
    """What becomes of one call of a round trip; it is there once the trip was sent."""

    def __init__(self, answer: Callable[[Any], Value]) -> None:
        self._answer = answer
        self.reply: Any = None  # of Redis, or the error in its place

    def get(self) -> Value:
        """What the call returns. Raises this project's errors."""
        return self._answer(self.reply)


class RoundTrip:
    """Calls to one Redis. Add them, send it once, then look at the outcomes."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._pipe: Any = client.pipeline(transaction=False)
        self._calls: list[tuple[Outcome[Any], Command[Any] | None]] = []

    def add(self, name: str, key: str, *args: str | bytes | int) -> Outcome[Any]:
        """A Redis command on one key; its outcome is what redis-py makes of the reply."""

        def answer(reply: Any) -> Any:
            if isinstance(reply, Exception):
                with redis_errors(key):
                    raise reply
            return reply

        self._pipe.execute_command(name, key, *args)
        return self._noted(Outcome(answer), None)

    def call(self, command: Command[Reply]) -> Outcome[Reply]:
        """A script call. A short script is sent whole: it runs in its place even where Redis has forgotten it."""
        script = command.script
        words = ("EVALSHA", script.sha) if script.preludes else ("EVAL", script.source)
        self._pipe.execute_command(*words, len(command.keys), *command.keys, *command.args)
        return self._noted(Outcome(command.answer), command)

    def wait_for_replica(self, job_id: str, within_ms: int) -> Outcome[bool]:
        """Whether one replica has, within this time, all that the job's server had written before.

        WAIT counts what its own connection has written, so this writes a key that expires at once: the job may have
        been made over another connection.
        """
        written = self.add("SET", replicated_mark(job_id), 1, "PX", 1)

        def answer(reply: Any) -> bool:
            written.get()
            return _has_replica(reply)

        self._pipe.execute_command("WAIT", 1, within_ms)
        return self._noted(Outcome(answer), None)

    def send(self) -> None:
        """Send the calls and take in the replies. Raises StoreUnavailable; then nobody knows which calls were run."""
        with redis_errors():
            replies = self._pipe.execute(raise_on_error=False)
            for (outcome, command), reply in zip(self._calls, replies, strict=True):
                is_missing = command is not None and is_script_missing(reply)
                outcome.reply = self._sent_whole(command) if command and is_missing else reply

    def _sent_whole(self, command: Command[Any]) -> Any:
        """The reply to a call by digest whose script Redis does not have."""
        try:
            return self._client.execute_command(
                "EVAL", command.script.source, len(command.keys), *command.keys, *command.args
            )
        except REPLIED_ERRORS as error:
            return error

    def _noted(self, outcome: Outcome[Value], command: Command[Any] | None) -> Outcome[Value]:
        self._calls.append((outcome, command))
        return outcome


def _has_replica(reply: Any) -> bool:
    if isinstance(reply, Exception):
        with redis_errors():
            raise reply
    return int(reply) > 0
