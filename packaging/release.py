"""`make release`: both distributions, the npm package, their bills of materials and checksums, in `dist/`.

Nothing is published. Everything is built twice, from two copies of the tree, and the release is refused unless both
builds have the same bytes. The tree has to be exactly what the tag of its version names; `--untagged` builds any tree.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bill_of_materials import write_bills

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = (".", "packaging/server")
NPM_PACKAGE = "app/static/client"
CHECKSUMS = "SHA256SUMS"


class ReleaseRefused(Exception):
    """No release is made of this tree; the message says why, and what to do."""


def version_of(root: Path) -> str:
    """The version of the tree; tests hold every other place that names it to this one."""
    found = re.search(r'^__version__ = "([^"]+)"$', (root / "tokentail" / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise ReleaseRefused("tokentail/__init__.py has no line __version__ = …")
    return found[1]


def require_tagged(root: Path, version: str) -> None:
    """Raises ReleaseRefused unless the tree is, without any change, the commit that the version's tag names."""
    tag = f"v{version}"
    tagged = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", check=False)
    if not tagged:
        raise ReleaseRefused(f"there is no tag {tag}: set it (git tag {tag}), or say make release UNTAGGED=1")
    if tagged != _git(root, "rev-parse", "HEAD"):
        raise ReleaseRefused(f"the tag {tag} names another commit: git checkout {tag}, or say make release UNTAGGED=1")
    if changed := _git(root, "status", "--porcelain"):
        first = changed.splitlines()[0]
        raise ReleaseRefused(f"the tree differs from the tag {tag} ({first}): commit, or say make release UNTAGGED=1")


def require_changelog(root: Path, version: str) -> None:
    """Raises ReleaseRefused unless the changelog has a part for the version."""
    if not re.search(rf"^## {re.escape(version)}\b", (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise ReleaseRefused(f"CHANGELOG.md has no heading for {version}: add one, with its date")


def require_nothing_unreleased(root: Path, version: str) -> None:
    """Raises ReleaseRefused where the changelog has lines that belong to no version."""
    unreleased = (root / "CHANGELOG.md").read_text().partition("\n## Unreleased\n")[2].partition("\n## ")[0]
    if re.search(r"^- ", unreleased, re.MULTILINE):
        raise ReleaseRefused(
            f"CHANGELOG.md has lines under Unreleased: move them under {version} and set the tag anew, "
            "or say make release UNTAGGED=1"
        )


def epoch_of(root: Path) -> str:
    """The time that archives give their files: SOURCE_DATE_EPOCH where it is set, else the time of the commit."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct")


def build(tree: Path, out: Path, epoch: str) -> None:
    """Build the archives of the tree into `out`. Equal trees and epochs give equal bytes."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    out.mkdir(parents=True)
    for distribution in DISTRIBUTIONS:
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
        _run(command, cwd=tree / distribution, environment=environment)
    npm = shutil.which("npm")
    if npm is None:
        raise ReleaseRefused("npm is missing, which packs the JavaScript client: install Node.js with npm")
    _run([npm, "pack", "--silent", "--pack-destination", str(out)], cwd=tree / NPM_PACKAGE, environment=environment)
    version = version_of(tree)
    # npm's own name for it would differ from the sdist's in four letters only.
    (out / f"tokentail-{version}.tgz").rename(out / f"tokentail-npm-{version}.tgz")


def write_checksums(out: Path) -> None:
    """Write the checksum of each file, in the form that `sha256sum --check` reads."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(out.iterdir())]
    (out / CHECKSUMS).write_text("".join(lines))


def differing(one: Path, other: Path) -> list[str]:
    """The names of files that are in one folder only, or have other bytes in the other one."""
    names = {path.name for folder in (one, other) for path in folder.iterdir()}
    return [name for name in sorted(names) if _bytes(one / name) != _bytes(other / name)]


def copies(root: Path, folder: Path) -> Iterator[Path]:
    """Two copies of the tree: the files that git knows or that it would add, with other times and places."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = [name for name in listed.split("\0") if name and (root / name).is_file()]
    for copy in (folder / "one", folder / "another"):
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
        yield copy


def release(root: Path, dist: Path, *, with_bills: bool = True) -> None:
    """Build twice, compare, and put what was built into `dist`. Raises ReleaseRefused where the builds differ."""
    epoch = epoch_of(root)
    with tempfile.TemporaryDirectory(prefix="tokentail-release-") as temporary:
        folder = Path(temporary)
        built = []
        for tree in copies(root, folder):
            out = folder / f"dist-{tree.name}"
            build(tree, out, epoch)
            if with_bills:
                write_bills(tree, out, version_of(root))
            write_checksums(out)
            built.append(out)
        if names := differing(*built):
            raise ReleaseRefused(f"two builds of one tree differ in {', '.join(names)}")
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(built[0], dist)


def main() -> int:
    """Make the release; the exit status is 1 where it is refused or a program that it needs fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--untagged", action="store_true", help="build this tree, whatever its tag names")
    arguments = parser.parse_args()
    version, dist = version_of(ROOT), ROOT / "dist"
    try:
        require_changelog(ROOT, version)
        if not arguments.untagged:
            require_tagged(ROOT, version)
            require_nothing_unreleased(ROOT, version)
        release(ROOT, dist)
    except ReleaseRefused as refusal:
        print(f"make release: {refusal}", file=sys.stderr)
        return 1
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"make release: {error}", file=sys.stderr)
        return 1
    print(f"Release {version}, built twice with the same bytes, is in dist/ (nothing was published):")
    print((dist / CHECKSUMS).read_text(), end="")
    return 0


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    ran = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=check)  # noqa: S603, S607
    return ran.stdout.strip("\n")


def _run(command: list[str], cwd: Path, environment: dict[str, str]) -> None:
    # What the builders print is shown where one fails; a release prints its own list.
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        print(ran.stdout + ran.stderr, file=sys.stderr)
        ran.check_returncode()


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
