"""The editor of the keys file: adds keys and takes them away. It keeps the comments of the file and its order.

A changed file takes the place of the old one at once and whole, so that no reader meets half of it.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit

from tokentail.config.key_file import KeyFile, is_key_name, read_key_file
from tokentail.errors import SettingsError

_NEW = "# API keys of Tokentail, by name. docs/keys.md explains the file. It has digests of keys, and no key.\n"


class KeyFileEditor:
    """Changes one keys file. Its methods raise SettingsError for a file or a wish that is at fault."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).resolve()  # a link stays a link: what it leads to is changed

    def add(self, name: str, options: Mapping[str, Any]) -> str:
        """A new key of this name, beside those that it has; the options change its table as `set` does."""
        if not is_key_name(name):
            raise SettingsError(
                ["NAME: has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit"]
            )
        key = f"tt-{secrets.token_urlsafe(32)}"
        with self._changed() as document:
            if "secret" not in document and "keys" not in document:
                document["secret"] = secrets.token_hex(32)
            keys = document.setdefault("keys", tomlkit.table(is_super_table=True))
            table = keys.setdefault(name, tomlkit.table())
            table.setdefault("sha256", tomlkit.array()).append(hashlib.sha256(key.encode()).hexdigest())
            _update(table, options)
        return key

    def set(self, name: str, options: Mapping[str, Any]) -> None:
        """Change these entries in the table of a name that has keys; an entry that is None is taken away."""
        with self._changed() as document:
            _update(self._table(document, name), options)

    def revoke(self, name: str, digest: str) -> None:
        """Take the name away, or with the beginning of a digest only that key of it."""
        with self._changed() as document:
            found = self._table(document, name)
            if not digest:
                del document["keys"][name]
                return
            known = [each for each in found["sha256"] if each.startswith(digest)]
            if len(known) != 1:
                has = "more than one digest that begins" if known else "no digest that begins"
                raise SettingsError([f"--digest: {name} has {has} with {digest}; tokentail keys list has them"])
            found["sha256"].remove(known[0])

    def read(self) -> KeyFile:
        """What the file says."""
        return read_key_file(str(self._path))

    def _table(self, document: tomlkit.TOMLDocument, name: str) -> Any:
        table = document.get("keys", {}).get(name)
        if table is None:
            raise SettingsError([f"NAME: {self._path} has no key named {name}; tokentail keys list has the names"])
        return table

    @contextmanager
    def _changed(self) -> Iterator[tomlkit.TOMLDocument]:
        """The document, which is written when the block ends without an error. Others that change the file wait."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path.parent):
                document = tomlkit.parse(_NEW)
                if self._path.exists():
                    self.read()  # raises SettingsError for a file with faults, which must not be made worse
                    document = tomlkit.parse(self._path.read_text(encoding="utf-8"))
                yield document
                self._write(tomlkit.dumps(document))
        except OSError as error:
            raise SettingsError([f"{self._path} cannot be written: {error.strerror}"]) from None

    def _write(self, text: str) -> None:
        number, beside = tempfile.mkstemp(prefix=".keys-", dir=self._path.parent)  # with mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            read_key_file(beside)
            with suppress(FileNotFoundError, PermissionError):  # the server may run as another user than the operator
                before = self._path.stat()
                os.chown(beside, before.st_uid, before.st_gid)
            os.replace(beside, self._path)
        except BaseException:
            os.unlink(beside)
            raise


def _update(table: Any, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if value is None:
            table.pop(name, None)
        else:
            table[name] = value


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
