"""The keys file: the named API keys of a deployment, in the TOML file that TOKENTAIL_KEYS_FILE names.

    secret = "…"                        # signs sessions and share links where TOKENTAIL_SECRET is not set

    [keys.web]                          # the name is the owner of the jobs that are submitted with the key
    sha256 = ["9f86d081…"]              # digests of the key; two of them while the key is rotated
    role = "client"                     # or "operator"
    models = ["local", "openai/gpt-5*"] # the models that the key may use; leave out what is not limited
    jobs = 20                           # queued or running at once
    user_jobs = 2                       # of these, those of one user
    requests_per_minute = 60
    tokens_per_day = 1_000_000

The file has no key, so a reader of the file cannot call the server.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from tokentail.config.toml_file import read_entry, read_tables
from tokentail.errors import SettingsError
from tokentail.jobs.api_key import ApiKey, KeyLimits, Role
from tokentail.jobs.readable_fault import printable

LEAST_SECRET = 32  # characters
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class KeyEntry(msgspec.Struct, forbid_unknown_fields=True):
    """The table of one name."""

    sha256: list[str]
    role: Role = Role.CLIENT
    models: list[str] = []
    jobs: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    user_jobs: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    tokens_per_day: Annotated[int, Meta(ge=1, le=10**15)] | None = None


@dataclass(frozen=True)
class KeyFile:
    """The content of a keys file."""

    secret: str = field(default="", repr=False)
    entries: Mapping[str, KeyEntry] = field(default_factory=dict)  # by name

    def by_digest(self) -> dict[bytes, ApiKey]:
        """What each key may do, by the key's digest."""
        return {bytes.fromhex(d): _key(name, entry) for name, entry in self.entries.items() for d in entry.sha256}


def read_key_file(path: str) -> KeyFile:
    """The file's content. Raises SettingsError with every fault of the file."""
    if not os.path.exists(path):
        raise SettingsError([f"TOKENTAIL_KEYS_FILE: {path} is not there; make it with: tokentail keys add NAME"])
    file = read_tables(path, "TOKENTAIL_KEYS_FILE", "keys", beside="secret")
    faults = list(file.faults)
    if file.text and len(file.text) < LEAST_SECRET:
        faults.append(f"{path}: secret: is shorter than {LEAST_SECRET} characters; make one with: openssl rand -hex 32")
    entries: dict[str, KeyEntry] = {}
    owners: dict[str, str] = {}  # by digest
    for name, table in file.tables.items():
        entry = read_entry(table, KeyEntry, "a key")
        told = list(_faults(name, entry, owners)) if isinstance(entry, KeyEntry) else entry
        faults.extend(f"{path}: keys.{name}: {fault}" for fault in told)
        if isinstance(entry, KeyEntry):
            entries[name] = entry
    if faults:
        raise SettingsError(faults)
    return KeyFile(file.text, entries)


def _key(name: str, entry: KeyEntry) -> ApiKey:
    per_time = (entry.requests_per_minute, entry.tokens_per_day)
    return ApiKey(name, entry.role, KeyLimits(tuple(entry.models), entry.jobs, *per_time, entry.user_jobs))


def _faults(name: str, entry: KeyEntry, owners: dict[str, str]) -> Iterator[str]:
    """What is wrong with one name. `owners` has the digests of the names before it."""
    if not is_key_name(name):
        yield "the name has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit"
    for model in entry.models:
        if not model or "*" in model[:-1]:
            yield "models: each is a whole name, such as local, or a beginning with a * behind it, such as openai/*"
        elif "?" in model:
            yield f"models: options are no part of a name; write {printable(model.partition('?')[0])}"
        elif model.endswith("/"):
            yield f"models: {printable(model)} is no model; write {printable(model)}* for all of that provider"
    for digest in entry.sha256:
        if not _DIGEST.fullmatch(digest):
            yield "sha256: has something else than 64 lower-case hexadecimal digits"
        elif owners.setdefault(digest, name) != name:
            yield f"sha256: one of the digests is also that of {owners[digest]}"


def is_key_name(name: str) -> bool:
    """Whether a key may have this name, which is the owner of its jobs."""
    return _NAME.fullmatch(name) is not None
