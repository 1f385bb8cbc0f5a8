"""npm, with its registry: archives of packages, for tests with programs of others."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.programs import NPM

WITHIN_S = 120
UNREACHABLE = ("ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH")
HASTY = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")


def npm(*arguments: str, cwd: Path) -> Any:
    """npm's output as JSON; if the registry cannot be reached, the test is skipped, or fails where CI is set."""
    argv = [NPM.require(), *arguments, "--json", "--no-audit", "--no-fund", *HASTY]
    ran = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if ran.returncode == 0:
        return json.loads(ran.stdout)
    message = f"npm {arguments[0]} failed: {ran.stdout[:300]} {ran.stderr[:300]}"
    is_away = any(f'"code": "{code}"' in ran.stdout for code in UNREACHABLE)
    if os.environ.get("CI") or not is_away:
        pytest.fail(message, pytrace=False)
    return pytest.skip(message)


def npm_package(spec: str, folder: Path) -> Path:
    """The unpacked archive of a package, such as `name@1.0.0`. Nothing of the package is run."""
    (packed,) = npm("pack", spec, "--pack-destination", str(folder), cwd=folder)
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(folder / packed["name"], filter="data")
    return folder / str(packed["name"]) / "package"
