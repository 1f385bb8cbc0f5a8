"""The JavaScript client as a package: one copy, of which the server's wheel and npm's archive are made."""

import gzip
import json
import re
from importlib.resources import files
from pathlib import Path

from tokentail import __version__

CLIENT = files("app") / "static" / "client"
DOCS = Path(__file__).parents[3] / "docs" / "javascript.md"


def test_its_version_is_ours() -> None:
    """A client is taken from the server that it talks to."""
    package = json.loads((CLIENT / "package.json").read_text())
    assert (package["name"], package["version"]) == ("tokentail", __version__)


def test_it_names_files_that_there_are() -> None:
    """What npm publishes and what programs import."""
    package = json.loads((CLIENT / "package.json").read_text())
    named = {*package["files"], package["main"], package["types"], *package["exports"]["."].values()}
    assert all((CLIENT / name.removeprefix("./")).is_file() for name in named)
    assert package["license"] == "MIT"


def test_it_depends_on_nothing() -> None:
    """One module, and no other."""
    package = json.loads((CLIENT / "package.json").read_text())
    assert not {"dependencies", "peerDependencies", "scripts"} & set(package)
    assert not re.search(r"^import |\bimport\(|\brequire\(", (CLIENT / "tokentail.js").read_text(), re.MULTILINE)


def test_the_docs_tell_its_size() -> None:
    """To the kilobyte."""
    source = (CLIENT / "tokentail.js").read_bytes()
    told = re.search(r"(\d+) kB, (\d+) kB gzipped", DOCS.read_text())
    assert told is not None
    assert [int(each) for each in told.groups()] == [
        round(len(source) / 1000),
        round(len(gzip.compress(source)) / 1000),
    ]


def test_types_and_module_export_the_same() -> None:
    """A class or function that has no type, or a type of nothing, is found here."""
    exported = re.compile(r"^export (?:declare )?(?:class|function) (\w+)", re.MULTILINE)
    source, types = ((CLIENT / name).read_text() for name in ("tokentail.js", "tokentail.d.ts"))
    assert sorted(exported.findall(source)) == sorted(exported.findall(types))
    methods = re.compile(r"^  (?:async )?([a-z]\w*)(?=\()", re.MULTILINE)
    body = source[source.index("export class Tokentail {") : source.index("/** Keep a job")]
    typed = types[types.index("export class Tokentail {") : types.index("/** Keep a job")]
    assert set(methods.findall(body)) == set(methods.findall(typed))
