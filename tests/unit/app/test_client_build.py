"""The build of the JavaScript client joins modules into one scope, and refuses what would change their meaning."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.checkout


@pytest.fixture(scope="module")
def builder() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "clients" / "js" / "build.py"))


TWO = {
    "index": 'export { greet } from "./greeting.js";\n',
    "greeting": (
        'import { NAME } from "./name.js";\n\nexport function greet() {\n'
        "  return `Hello ${NAME}`;\n}\nexport const [ONE, TWO] = [1, 2];\n"
    ),
    "name": 'const FIRST = "Ada"; // the NAME of a person\nexport const NAME = FIRST;\n',
}


def test_modules_come_after_what_they_import_and_export_only_what_the_index_names(builder: dict[str, Any]) -> None:
    """The built file imports nothing, and `export` is left where index.js names the declaration."""
    built = builder["build"](TWO)
    code = built[built.index("// -- name --") :]
    assert code == (
        '// -- name --\n\nconst FIRST = "Ada"; // the NAME of a person\nconst NAME = FIRST;\n\n'
        "// -- greeting --\n\nexport function greet() {\n  return `Hello ${NAME}`;\n}\nconst [ONE, TWO] = [1, 2];\n"
    )


def test_the_order_of_files_in_the_folder_changes_nothing(builder: dict[str, Any]) -> None:
    """Two builds of the same sources are equal, however the file system lists the sources."""
    assert builder["build"](dict(reversed(TWO.items()))) == builder["build"](TWO)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("name", "export const OTHER = 1;\n", "imports NAME, which name.js does not export"),
        ("name", "const NAME = 1;\n", "imports NAME, which name.js does not export"),
        ("name", "export const NAME = 1;\nfunction greet() {}\n", "both declare greet"),
        ("name", "export const NAME = 1;\nconst [a, greet] = [];\n", "both declare greet"),
        ("name", "export const NAME = greet();\n", "uses greet of greeting.js without importing it"),
        ("name", "export const NAME = 1 ? ONE : 2;\n", "uses ONE of greeting.js without importing it"),
        ("name", "export const NAME = [...ONE];\n", "uses ONE of greeting.js without importing it"),
        ("name", 'import { greet } from "./greeting.js";\n\nexport const NAME = greet;\n', "imports itself"),
        ("name", 'import { readFile } from "node:fs";\nexport const NAME = 1;\n', "knows only"),
        ("name", 'import { greet as hail } from "./greeting.js";\nexport const NAME = 1;\n', "knows only"),
        ("name", 'export const NAME = await import("./greeting.js");\n', "knows only"),
        ("name", "export default 1;\nexport const NAME = 1;\n", "knows only"),
        ("name", "const NAME = 1;\nexport { NAME };\n", "knows only"),
        ("name", "export const { NAME } = {};\n", "knows only"),
        ("unused", "export const UNUSED = 1;\n", "no module imports unused.js"),
    ],
)
def test_what_one_scope_cannot_express_stops_the_build(
    builder: dict[str, Any], name: str, source: str, message: str
) -> None:
    """The error names the module at fault; no file is written that would behave differently from its sources."""
    with pytest.raises(builder["BuildError"], match=message):
        builder["build"]({**TWO, name: source})


def test_words_in_comments_strings_and_properties_are_no_use_of_a_name(builder: dict[str, Any]) -> None:
    """Another module's name may occur in prose, as a property or as a key."""
    source = '// greet\n/* greet */\nexport const NAME = { greet: "greet" }.greet; // to greet\n'
    assert "const NAME = { greet" in builder["build"]({**TWO, "name": source})


TYPES = {
    "job": 'import type { Status } from "./status.js";\n\nexport interface Job {\n  status: Status;\n}\n',
    "status": 'export type Status = "queued" | "running";\n',
}


def test_types_are_joined_without_their_imports(builder: dict[str, Any]) -> None:
    """The built declarations import nothing, and hold those of every file."""
    built = builder["build_types"](TYPES)
    assert built[built.index("// -- job --") :] == (
        "// -- job --\n\nexport interface Job {\n  status: Status;\n}\n\n"
        '// -- status --\n\nexport type Status = "queued" | "running";\n'
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"status": "export type Other = 1;\n"}, "job.d.ts imports Status, which status.d.ts does not declare"),
        ({"more": "export interface Job {}\n"}, "job.d.ts and more.d.ts both declare Job"),
        ({"more": 'import { Job } from "./job.js";\n'}, "more.d.ts: the build knows only"),
    ],
)
def test_types_that_cannot_be_joined_stop_the_build(
    builder: dict[str, Any], changed: dict[str, str], message: str
) -> None:
    """A name without its declaration, two declarations of one name, and an import in another form."""
    with pytest.raises(Exception, match=message):
        builder["build_types"]({**TYPES, **changed})
