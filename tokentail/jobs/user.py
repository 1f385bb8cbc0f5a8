"""The user: one of the people or accounts that an application has behind its one API key. Pure.

The name is the application's own and may be a person's. So it is kept only where it expires with a job's content;
records, keys and log lines have a digest of it.
"""

import hashlib
from typing import Annotated

from msgspec import Meta

LONGEST_USER = 128  # characters
UserName = Annotated[str, Meta(min_length=1, max_length=LONGEST_USER)]


def user_digest(owner: str, user: str) -> str:
    """The digest that stands for an owner's user: equal names of two owners have different ones. "" for no user."""
    return hashlib.sha256(f"{owner}\n{user}".encode()).hexdigest()[:32] if user else ""
