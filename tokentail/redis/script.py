"""A script: Lua that Redis runs in one step, and one call of it. Pure; `script_client.py` sends the calls."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any, Generic, TypeVar

from tokentail.errors import TokentailError, Unreadable
from tokentail.redis.errors import redis_errors

Reply = TypeVar("Reply")


@dataclass(frozen=True)
class Script:
    """A file of `lua/`, behind those in `preludes`, and the digest by which Redis knows it."""

    name: str
    preludes: tuple[str, ...] = ()

    @cached_property
    def source(self) -> str:
        lua = files("tokentail.redis").joinpath("lua")
        return "".join(lua.joinpath(f"{name}.lua").read_text() for name in (*self.preludes, self.name))

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Command(Generic[Reply]):
    """One script call: what to send, and what the reply means. All its keys are in one cluster slot."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[str | bytes | int, ...]
    decode: Callable[[Any], Reply] = field(compare=False)

    def answer(self, reply: Any) -> Reply:
        """What the reply means. Raises this project's errors: for a reply that is one of redis-py's errors, too.

        `decode` may raise them on purpose; what it cannot decode is Unreadable.
        """
        if isinstance(reply, Exception):
            with redis_errors(self.keys[0]):
                raise reply
        try:
            return self.decode(reply)
        except TokentailError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            # What was in Redis is in this error's text; it must not come into a log with it.
            raise Unreadable(self.keys[0]) from None
