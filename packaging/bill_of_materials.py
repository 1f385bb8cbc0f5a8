"""The bills of materials of a release: one CycloneDX document for each distribution.

A bill lists what pip installs with the wheel at the versions of constraints.txt, on the platform and the Python of the
build, and the JavaScript that the page carries. CycloneDX's own tool makes it, in an environment of its own.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TOOL = "cyclonedx-bom==7.5.0"
VENDORED = "app/static/page/vendor/LICENSES.txt"
_BILLS = {"tokentail": "pyproject.toml", "tokentail-server": "packaging/server/pyproject.toml"}
_UV = str(Path(sys.executable).parent / "uv")
_CARRIED = re.compile(r"^--- (\S+) (\S+) ---$", re.MULTILINE)


def write_bills(tree: Path, out: Path, version: str) -> None:
    """Write a bill beside the wheels in `out` for each of them, which are installed for it."""
    for name, pyproject in _BILLS.items():
        bill = out / f"{name}-{version}.cdx.json"
        with tempfile.TemporaryDirectory(prefix="tokentail-bill-") as folder:
            environment = _installed(Path(folder), name, tree, out, version)
            command = [_UV, "tool", "run", "--quiet", "--from", TOOL, "cyclonedx-py", "environment"]
            form = ["--output-reproducible", "--of", "JSON", "--sv", "1.6", "--mc-type", "application"]
            _run([*command, *form, "--pyproject", str(tree / pyproject), "-o", str(bill), environment], cwd=tree)
        document = json.loads(bill.read_text())
        if name == "tokentail-server":
            add_carried(document, (tree / VENDORED).read_text())
        bill.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def add_carried(document: dict[str, Any], licenses: str) -> None:
    """Add the JavaScript libraries that the page carries, as the file with their licenses names them."""
    found = [(name, version, f"pkg:npm/{name}@{version}") for name, version in _CARRIED.findall(licenses)]
    document["components"] += [
        {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl, "scope": "required"}
        for name, version, purl in found
    ]
    root = document["metadata"]["component"]["bom-ref"]
    (needs,) = (each for each in document["dependencies"] if each["ref"] == root)
    needs["dependsOn"] = sorted({*needs.get("dependsOn", []), *(purl for _, _, purl in found)})
    document["dependencies"] += [{"ref": purl} for _, _, purl in found]


def _installed(folder: Path, name: str, tree: Path, out: Path, version: str) -> str:
    """The Python of an environment with the wheel and the tested versions of all that it needs, and nothing else."""
    python = str(folder / "bin" / "python")
    _run([_UV, "venv", "--quiet", "--python", sys.executable, str(folder)], cwd=tree)
    wanted = ["tokentail", "tokentail-server"] if name == "tokentail-server" else ["tokentail"]
    wheels = [str(out / f"{each.replace('-', '_')}-{version}-py3-none-any.whl") for each in wanted]
    install = [_UV, "pip", "install", "--quiet", "--python", python, "--constraints", str(tree / "constraints.txt")]
    _run([*install, *wheels], cwd=tree)
    # A wheel's address is a folder of the building machine; the bill of the same release must not differ by it.
    for address in folder.glob("lib/python*/site-packages/tokentail*.dist-info/direct_url.json"):
        address.unlink()
    return python


def _run(command: list[str], cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, check=True)  # noqa: S603
