"""A keys file for tests: each name has one key, `key-of-NAME`."""

import hashlib
import os
from pathlib import Path
from typing import Any

import tomlkit

SECRET = "s" * 32


def key_of(name: str) -> str:
    """The key of a name."""
    return f"key-of-{name}"


def digest_of(key: str) -> str:
    """What the file has of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(name: str) -> dict[str, str]:
    """The header of a name's key."""
    return {"Authorization": f"Bearer {key_of(name)}"}


def write_keys(path: Path, **names: dict[str, Any]) -> str:
    """Write a file with these names, each with options of its key; the path as a setting has it."""
    keys = {name: {"sha256": [digest_of(key_of(name))], **options} for name, options in names.items()}
    write_whole(path, encoded({"secret": SECRET, "keys": keys}))
    return str(path)


def encoded(document: dict[str, Any]) -> bytes:
    """A document in TOML."""
    return tomlkit.dumps(document).encode()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in its place at once, as a careful editor does."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    os.replace(beside, path)
