"""Git ignores what the documents make in the repository's folder and what holds a secret or an answer."""

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
_BACKUP = (_ROOT / "docs" / "backup.md").read_text()
_MADE = sorted(set(re.findall(r"tokentail-backup[\w.-]*\b", _BACKUP)))


@pytest.mark.parametrize("name", [*_MADE, "keys.toml", "providers.toml", ".env", "data/valkey/x", "restored/x"])
def test_secrets_and_backups_are_not_committed_by_accident(name: str) -> None:
    """A `git add .` in the folder of the quick start takes none of them."""
    asked = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", name], cwd=_ROOT, check=False)
    assert asked.returncode == 0


def test_backups_are_found_in_the_document() -> None:
    """The names above come from its commands."""
    assert {"tokentail-backup.tar.gz", "tokentail-backup.rdb", "tokentail-backup-settings.tar.gz"} <= set(_MADE)
