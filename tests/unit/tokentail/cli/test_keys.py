"""`tokentail keys`: keys are made, shown once, rotated and revoked; the file stays a person's own."""

import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.keys_file import digest_of
from tokentail.cli.keys import keys
from tokentail.config.key_file import read_key_file
from tokentail.config.key_ring import KeyRing
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError
from tokentail.jobs.api_key import KeyLimits, Role


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def run(path: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(keys, [*arguments, "--file", str(path)], catch_exceptions=True)
    if isinstance(result.exception, SettingsError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def ring(path: Path) -> KeyRing:
    return KeyRing(load_settings({"TOKENTAIL_KEYS_FILE": str(path)}))


def test_a_key_is_printed_once_and_only_its_digest_is_kept(path: Path) -> None:
    """Standard output is the key alone, so that a script can take it; the file is its owner's alone."""
    added = run(path, "add", "web")
    key = added.stdout.strip()
    assert len(key) > 40
    assert key not in path.read_text()
    assert digest_of(key) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = ring(path).find(key.encode())
    assert found is not None
    assert (found.owner, found.role, found.limits) == ("web", Role.CLIENT, KeyLimits())
    assert key not in run(path, "list").output
    assert os.listdir(path.parent) == [path.name], "nothing is left beside it"


def test_limits_and_the_role_are_options(path: Path) -> None:
    """An option that is given replaces the one before; the others stay."""
    run(path, "add", "web", "--models", "local, openai/*", "--jobs", "3", "--requests-per-minute", "60")
    key = run(
        path, "add", "web", "--jobs", "4", "--tokens-per-day", "1000", "--role", "operator", "--user-jobs", "2"
    ).stdout.strip()
    found = ring(path).find(key.encode())
    assert found is not None
    assert found.role is Role.OPERATOR
    assert found.limits == KeyLimits(("local", "openai/*"), 4, 60, 1000, 2)


def test_limits_are_changed_without_a_new_key(path: Path) -> None:
    """`set` changes what it names, takes away what is none, and makes no key; the rest of the file stays."""
    key = run(path, "add", "web", "--models", "local", "--jobs", "3", "--requests-per-minute", "60").stdout.strip()
    path.write_text(path.read_text() + "# ours\n")
    printed = run(path, "set", "web", "--jobs", "5", "--requests-per-minute", "none", "--models", "none").stdout
    assert "jobs=5" in printed
    found = ring(path).find(key.encode())
    assert found is not None
    assert found.limits == KeyLimits(jobs=5)
    assert read_key_file(str(path)).entries["web"].sha256 == [digest_of(key)]
    assert "# ours" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "say what to change"), (("--jobs", "0"), "--jobs"), (("--jobs", "many"), "--jobs")]
)
def test_a_change_that_cannot_be_made_is_wrong_usage(path: Path, arguments: tuple[str, ...], said: str) -> None:
    """0 would admit no job at all, and no option is no wish."""
    run(path, "add", "web", "--jobs", "3")
    before = path.read_bytes()
    result = CliRunner().invoke(keys, ["set", "web", *arguments, "--file", str(path)])
    assert result.exit_code == 2
    assert said in result.stderr
    assert path.read_bytes() == before


def test_a_key_is_rotated_by_a_second_one(path: Path) -> None:
    """Both count until the first is revoked by the beginning of its digest."""
    old, new = (run(path, "add", "web").stdout.strip() for _ in range(2))
    assert [ring(path).find(key.encode()) is not None for key in (old, new)] == [True, True]
    (listed,) = json.loads(run(path, "list", "--json").stdout)
    assert listed["digests"] == [digest_of(key)[:12] for key in (old, new)]
    run(path, "revoke", "web", "--digest", listed["digests"][0])
    assert [ring(path).find(key.encode()) is not None for key in (old, new)] == [False, True]


def test_a_name_is_revoked_with_all_its_keys(path: Path) -> None:
    """Other names stay; the file of the last name has no keys, and admits nobody."""
    key, other = run(path, "add", "web").stdout.strip(), run(path, "add", "a.b-c_d").stdout.strip()
    run(path, "revoke", "web")
    assert ring(path).find(key.encode()) is None
    assert ring(path).find(other.encode()) is not None
    run(path, "revoke", "a.b-c_d")
    assert ring(path).is_keyed
    assert ring(path).owners() == []
    assert "tokentail keys add" in run(path, "list").output


def test_what_a_person_wrote_stays(path: Path) -> None:
    """Comments, order and the secret."""
    before = f'''# ours
secret = "{"x" * 40}"  # of 2026

[keys.web]  # the shop
jobs = 20  # enough
sha256 = ["{"0" * 64}"]
'''
    path.write_text(before)
    run(path, "add", "other")
    text = path.read_text()
    for part in ("# ours", "# of 2026", "# the shop", "jobs = 20  # enough"):
        assert part in text
    assert text.index("jobs") < text.index("sha256")
    file = read_key_file(str(path))
    assert (file.secret, list(file.entries)) == ("x" * 40, ["web", "other"])


def test_a_link_to_the_file_stays_a_link(path: Path) -> None:
    """Configuration is often linked from elsewhere."""
    run(path, "add", "web")
    link = path.with_name("link.toml")
    link.symlink_to(path)
    run(link, "add", "other")
    assert link.is_symlink()
    assert list(read_key_file(str(path)).entries) == ["web", "other"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("add", "no spaces"), "NAME: has 1 to 64"),
        (("add", "web", "--models", "a*b"), "models: each is a whole name"),
        (("add", "web", "--models", "demo?tokens=5"), "models: options are no part of a name; write demo"),
        (("add", "web", "--models", "openai/"), "write openai/* for all of that provider"),
        (("revoke", "nobody"), "has no key named nobody"),
        (("set", "nobody", "--jobs", "1"), "has no key named nobody"),
        (("set", "web", "--models", "a*b"), "models: each is a whole name"),
        (("revoke", "web", "--digest", "xyz"), "no digest that begins"),
    ],
)
def test_what_cannot_be_done_leaves_the_file_as_it_was(path: Path, arguments: tuple[str, ...], fault: str) -> None:
    """With a sentence that says what is wrong."""
    run(path, "add", "web")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=fault.replace("*", r"\*")):
        run(path, *arguments)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_file_with_faults_is_not_made_worse(path: Path) -> None:
    """All faults are named, and nothing is written."""
    path.write_text("[keys.web]\nsha256 = 3\nrol = 'x'\n")
    with pytest.raises(SettingsError) as raised:
        run(path, "add", "other")
    assert "sha256" in str(raised.value)
    assert "rol" in str(raised.value)
    assert path.read_text().startswith("[keys.web]")
