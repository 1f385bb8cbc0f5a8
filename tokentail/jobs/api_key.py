"""The API key: its name, which is the owner of its jobs, and what it may do. Values only; nothing here does I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tokentail.errors import ModelForbidden
from tokentail.jobs.models import ServedModel, listed_name


class Role(StrEnum):
    """What a key is for."""

    CLIENT = "client"  # submits jobs, and reads its own
    OPERATOR = "operator"  # reads every job's record without its content, and stops jobs; it submits none

    @property
    def meaning(self) -> str:
        """What the role may do, for the client that is refused something else."""
        return _MEANINGS[self]


_MEANINGS = {
    Role.CLIENT: "submits jobs and reads its own",
    Role.OPERATOR: "reads the records of all jobs and stops jobs, and opens no content",
}


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How much one owner may do. None: what the deployment's settings allow.

    A name in `models` means what it means in a request, given the models that are served.
    """

    models: tuple[str, ...] = ()  # names as a request has them, or beginnings that end in *; empty: every model
    jobs: int | None = None  # open jobs
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None  # of input and output, by UTC
    user_jobs: int | None = None  # open jobs of each user

    def allows(self, model: str, served: Sequence[ServedModel]) -> bool:
        """Whether the key may use a model, by its full name. Options behind a ? are no part of the name."""
        return not self.models or _is_one_of(model.partition("?")[0], self._patterns(served))

    def require(self, model: str, served: Sequence[ServedModel]) -> None:
        """Raises ModelForbidden for a model that the key may not use."""
        if not self.allows(model, served):
            raise ModelForbidden(self.refusal)

    @property
    def refusal(self) -> str:
        """What to tell a client whose key may not use a model."""
        return f"This key may not use that model. It may use: {', '.join(self.models)}."

    def among(self, served: list[ServedModel]) -> list[ServedModel]:
        """What of the served models the key may use. Of a served beginning, only the part that the key may use."""
        if not self.models:
            return served
        patterns = self._patterns(served)
        allowed: dict[ServedModel, None] = {}
        for model in served:
            if _is_one_of(model.name, patterns):
                allowed[model] = None
            elif model.name.endswith("*"):
                narrower = (pattern for pattern in patterns if _is_within(pattern, model.name))
                allowed.update((ServedModel(name, model.provider, model.dialect), None) for name in narrower)
        return list(allowed)

    def _patterns(self, served: Sequence[ServedModel]) -> list[str]:
        """The key's models by their full names, and its beginnings."""
        return [name if name.endswith("*") else listed_name(name, served) for name in self.models]


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(_is_within(name, pattern) for pattern in patterns)


def _is_within(name: str, pattern: str) -> bool:
    """Whether a name, or all names of a beginning that ends in *, match the pattern."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


NO_LIMITS = KeyLimits()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One named key. The key itself is known nowhere: only SHA-256 digests of it are."""

    owner: str
    role: Role = Role.CLIENT
    limits: KeyLimits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one limit of a key."""

    limit: int
    remaining: int
    reset_ms: int  # until all of it is there again


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a key's limits after a submission, or at its refusal. None: there is no such limit."""

    requests: Left | None = None
    tokens: Left | None = None


UNLIMITED = Allowance()
