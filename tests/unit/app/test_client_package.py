"""The JavaScript client as a package: one copy, of which the server's wheel and npm's archive are made."""

import gzip
import json
import re
import runpy
from importlib.resources import files
from pathlib import Path

import pytest

from tokentail import __version__

CLIENT = files("app") / "static" / "client"
ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "javascript.md"


def test_its_version_is_ours() -> None:
    """The package has the version of the server, because a page loads its client from the server it talks to."""
    package = json.loads((CLIENT / "package.json").read_text())
    assert (package["name"], package["version"]) == ("tokentail", __version__)


def test_it_names_files_that_there_are() -> None:
    """Each file that npm publishes or that programs import exists."""
    package = json.loads((CLIENT / "package.json").read_text())
    named = {
        *package["files"],
        package["main"],
        package["types"],
        *(path for each in package["exports"].values() for path in each.values()),
    }
    assert all((CLIENT / name.removeprefix("./")).is_file() for name in named)
    assert package["license"] == "MIT"


def test_it_depends_on_nothing() -> None:
    """The module imports nothing, the package has no dependencies and no scripts, and React is optional."""
    package = json.loads((CLIENT / "package.json").read_text())
    assert not {"dependencies", "optionalDependencies", "scripts"} & set(package)
    assert {name: {"optional": True} for name in package["peerDependencies"]} == package["peerDependenciesMeta"]
    assert set(package["peerDependencies"]) == {"react"}
    assert not re.search(r"^import |\bimport\(|\brequire\(", (CLIENT / "tokentail.js").read_text(), re.MULTILINE)


@pytest.mark.checkout
def test_it_is_built_from_its_sources() -> None:
    """The module and its types are what the build makes of the sources now; `make client-js` renews both."""
    built = runpy.run_path(str(ROOT / "clients" / "js" / "build.py"))["built_files"]()
    assert set(built) == {"tokentail.js", "tokentail.d.ts"}
    for name, text in built.items():
        assert (CLIENT / name).read_text() == text


def test_the_docs_tell_its_size() -> None:
    """The sizes in docs/javascript.md are right to the kilobyte."""
    source = (CLIENT / "tokentail.js").read_bytes()
    told = re.search(r"(\d+) kB, (\d+) kB gzipped", DOCS.read_text())
    assert told is not None
    assert [int(each) for each in told.groups()] == [
        round(len(source) / 1000),
        round(len(gzip.compress(source)) / 1000),
    ]


def test_types_and_module_export_the_same() -> None:
    """Every exported class, function and method has a type, and every type belongs to one of them."""
    exported = re.compile(r"^export (?:declare )?(?:class|function) (\w+)", re.MULTILINE)
    source, types = ((CLIENT / name).read_text() for name in ("tokentail.js", "tokentail.d.ts"))
    assert sorted(exported.findall(source)) == sorted(exported.findall(types))
    methods = re.compile(r"^  (?:async )?([a-z]\w*)(?=\()", re.MULTILINE)
    body = source[source.index("export class Tokentail {") : source.index("/** Keep a job")]
    typed = types[types.index("export class Tokentail {") : types.index("/** Keep a job")]
    assert set(methods.findall(body)) == set(methods.findall(typed))
