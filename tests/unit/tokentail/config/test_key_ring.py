"""The key ring: which keys count, and how a change of the keys file is taken in while the server runs."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.keys_file import SECRET, digest_of, encoded, key_of, write_keys, write_whole
from tokentail.config.key_file import read_key_file
from tokentail.config.key_ring import KeyRing, owner_name
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError
from tokentail.jobs.api_key import Role


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def ring(path: str, clock: Clock, keys: str = "") -> KeyRing:
    return KeyRing(load_settings({"TOKENTAIL_KEYS_FILE": path, "TOKENTAIL_API_KEYS": keys}), clock)


def owner(keys: KeyRing, name: str) -> str | None:
    found = keys.find(key_of(name).encode())
    return found.owner if found else None


def test_keys_of_the_file_stand_beside_those_of_the_settings(tmp_path: Path) -> None:
    """A key of the settings has the owner that it had before there was a file."""
    keys = ring(write_keys(tmp_path / "k", web={}, op={"role": "operator"}), Clock(), "old-key")
    assert owner(keys, "web") == "web"
    assert keys.of_owner("op").role is Role.OPERATOR
    old = keys.find(b"old-key")
    assert old is not None
    assert (old.owner, old.role) == (owner_name("old-key"), Role.CLIENT)
    assert keys.find(b"") is keys.find(b"another") is None


def test_a_key_is_rotated_without_a_restart(tmp_path: Path) -> None:
    """Both digests count while both are there, for one owner; then only the new one."""
    clock = Clock()
    path = tmp_path / "k"
    keys = ring(write_keys(path, web={}), clock)

    def write(*names: str) -> None:
        table = {"sha256": [digest_of(key_of(name)) for name in names]}
        write_whole(path, encoded({"secret": SECRET, "keys": {"web": table}}))
        clock.now += 2

    write("web", "new")
    assert owner(keys, "web") == owner(keys, "new") == "web"
    write("new")
    assert (owner(keys, "web"), owner(keys, "new")) == (None, "web")


def test_a_key_of_the_settings_is_rotated_by_a_key_of_the_name_of_its_owner(tmp_path: Path) -> None:
    """Both own the same jobs while both are there; then only the new one. As docs/keys.md has it."""
    name = digest_of("old-key")[:16]
    path = write_keys(tmp_path / "k", **{name: {}})
    both = ring(path, Clock(), "old-key")
    old = both.find(b"old-key")
    assert old is not None
    assert old.owner == owner(both, name) == name
    after = ring(path, Clock())
    assert (after.find(b"old-key"), owner(after, name)) == (None, name)


def test_the_file_is_looked_at_once_a_second_at_most(tmp_path: Path) -> None:
    """A request does not pay for a look at the file."""
    clock = Clock()
    keys = ring(write_keys(tmp_path / "k", web={}), clock)
    write_keys(tmp_path / "k", other={})
    clock.now = 0.9
    assert owner(keys, "web") == "web"
    clock.now = 1.0
    assert (owner(keys, "web"), owner(keys, "other")) == (None, "other")


@pytest.mark.parametrize("slip", ["[keys.web", "[keys.web]\nsha256 = 3\nrol = 'x'\n[keys.'ü']\nsha256=['a']\n", None])
def test_a_broken_file_keeps_the_keys_and_is_logged_once(
    tmp_path: Path, slip: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """One line has all faults; the mended file counts again."""
    clock, path = Clock(), tmp_path / "k"
    keys = ring(write_keys(path, web={}), clock)
    if slip is None:
        path.unlink()
    else:
        write_whole(path, slip.encode())
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            clock.now += 2
            assert owner(keys, "web") == "web"
    lines = [record for record in caplog.records if record.message == "keys.not_read"]
    assert len(lines) == 1
    faults = vars(lines[0])["faults"]
    if slip is not None and "rol" in slip:
        assert all(part in faults for part in ("keys.web: sha256", "rol", "keys.ü: the name", "keys.ü: sha256"))
    write_keys(path, other={})
    clock.now += 2
    assert (owner(keys, "web"), owner(keys, "other")) == (None, "other")


def test_a_file_without_keys_admits_nobody(tmp_path: Path) -> None:
    """After the last key was revoked the deployment is not open: it has no caller."""
    path = tmp_path / "k"
    write_whole(path, encoded({"secret": SECRET}))
    keys = ring(str(path), Clock())
    assert keys.is_keyed
    assert keys.find(b"") is None


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"keys": {"web": {"sha256": ["0" * 63]}}}, "keys.web: sha256: has something else"),
        ({"keys": {"web": {"sha256": ["0" * 64], "role": "admin"}}}, "keys.web: role: Invalid enum value"),
        ({"keys": {"a": {"sha256": ["0" * 64]}, "b": {"sha256": ["0" * 64]}}}, "also that of a"),
        ({"keys": {"": {"sha256": ["0" * 64]}}}, "the name has"),
        ({"keys": []}, "holds tables named [keys.NAME]"),
        ({"key": {}}, "holds tables named [keys.NAME], and secret at the top"),
        ({"secret": "short"}, "secret: is shorter than 32"),
        ({"secret": 3}, "secret: is not a text"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, document: Any, fault: str) -> None:
    """With the place, and never with a digest or the secret."""
    path = tmp_path / "k"
    path.write_bytes(encoded(document))
    with pytest.raises(SettingsError) as raised:
        read_key_file(str(path))
    assert fault in str(raised.value)
    assert "0" * 63 not in str(raised.value)


def test_a_file_that_is_not_there_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    """At the start; later the keys that were read go on to count."""
    with pytest.raises(SettingsError, match="tokentail keys add"):
        ring(str(tmp_path / "k"), Clock())


def test_sessions_need_a_secret(tmp_path: Path) -> None:
    """The secret stands in the file, or in the settings, or is made from the keys there; digests are no secret."""
    path = tmp_path / "k"
    path.write_bytes(encoded({"keys": {"web": {"sha256": [digest_of("x")]}}}))
    with pytest.raises(SettingsError, match="secret: is missing"):
        ring(str(path), Clock())
    assert ring(str(path), Clock(), "old-key").secret == ""


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    """A file that is no keys file may be of any size."""
    path = tmp_path / "k"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(SettingsError, match="is larger than"):
        read_key_file(str(path))
