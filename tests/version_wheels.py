"""The wheels of a version, built from this repository and installed in an environment of their own.

Each is kept in `.venv/versions/`; that of this tree is built anew each time.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
THIS_TREE = "this tree"
_KEPT = ROOT / ".venv" / "versions"
_UV = str(Path(sys.executable).parent / "uv")
_PROJECTS = (".", "packaging/server")


def python_of(version: str) -> str:
    """The Python of an environment with both wheels of a tag or a commit, or of THIS_TREE. Exits with a sentence."""
    if version == THIS_TREE:
        with tempfile.TemporaryDirectory(prefix="tokentail-tree-") as folder:
            return _installed(_KEPT / "this-tree", ROOT, Path(folder))
    named = _git("rev-parse", "--short=12", f"{version}^{{commit}}")
    if named.returncode:
        reason = named.stderr.decode(errors="replace").strip()
        sys.exit(f"versions: git has no version {version} here: name a tag (git tag) or a commit (git log). {reason}")
    kept = _KEPT / named.stdout.decode().strip()
    if not (kept / "ready").exists():
        with tempfile.TemporaryDirectory(prefix="tokentail-tree-") as folder:
            tree = Path(folder) / "tree"
            with tarfile.open(fileobj=io.BytesIO(_git("archive", version).stdout)) as files:
                files.extractall(tree, filter="data")
            _installed(kept, tree, Path(folder))
        (kept / "ready").touch()
    return str(kept / "bin" / "python")


def _installed(venv: Path, tree: Path, folder: Path) -> str:
    shutil.rmtree(venv, ignore_errors=True)
    python, wheels, constraints = str(venv / "bin" / "python"), folder / "wheels", str(tree / "constraints.txt")
    for project in _PROJECTS:
        _uv("build", "--wheel", "--build-constraints", constraints, "--out-dir", str(wheels), str(tree / project))
    _uv("venv", "--python", sys.executable, str(venv))
    _uv("pip", "install", "--python", python, "--constraints", constraints, *map(str, wheels.glob("*.whl")))
    return python


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)


def _uv(*arguments: str) -> None:
    # Outside of the tree, whose configuration would make an editable installation of it.
    subprocess.run([_UV, *arguments, "--quiet"], cwd=tempfile.gettempdir(), stdin=subprocess.DEVNULL, check=True)
