"""Random names: of jobs, attempts and generations. None can be guessed; none carries meaning."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # 32 letters, 5 bits each; no i, l, o, u to be misread


def _random_name(letters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(letters))


def new_job_id() -> str:
    """A job's name and, without API keys, its only secret: 130 random bits."""
    return _random_name(26)


def new_attempt() -> str:
    """A fence token: 80 random bits, never used twice."""
    return _random_name(16)


def new_generation() -> str:
    """Unique among the generations of one job: 40 random bits."""
    return _random_name(8)


def is_job_id(text: str) -> bool:
    """Whether `text` could have come from `new_job_id`; guards Redis keys against foreign characters."""
    return len(text) == 26 and set(text) <= set(_ALPHABET)
