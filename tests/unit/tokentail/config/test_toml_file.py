"""TOML files with named tables: every fault at once, of syntax and of content, and no value shown."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from tokentail.config.toml_file import NamedTables, read_entry, read_tables


class Colour(msgspec.Struct, frozen=True):
    red: Annotated[int, msgspec.Meta(ge=0, le=255)] | UnsetType = UNSET
    green: Annotated[int, msgspec.Meta(ge=0, le=255)] | UnsetType = UNSET


class Box(msgspec.Struct):
    size: int
    names: list[str] = []
    lid: Colour = Colour()
    sides: dict[str, Colour] = {}


def read(path: Path, text: str) -> NamedTables:
    path.write_bytes(text.encode())
    return read_tables(str(path), "BOXES", "boxes")


def test_no_path_is_no_table() -> None:
    """A variable that is not set names no file."""
    assert read_tables("", "BOXES", "boxes") == NamedTables({})


def test_the_tables_are_read_by_name(tmp_path: Path) -> None:
    """A file may have a byte order mark and the line ends of Windows, as editors there write them."""
    text = "\ufeff[boxes.a]\r\nsize = 1\r\n[boxes.b]\r\nsize = 2\r\n"
    assert read(tmp_path / "b.toml", text) == NamedTables({"a": {"size": 1}, "b": {"size": 2}})


def test_every_syntax_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """The sections without a fault are read; of two with one name, neither."""
    path = tmp_path / "b.toml"
    text = '[boxes.a]\nsize = \nnames = ["x" "y"]\n[boxes.b]\nsize = 2\n[boxes.c\nsize = 3\n[boxes.b]\nsize = 4\n'
    text += "[boxes.d]\nsize = 5\n"
    found = read(path, text)
    assert [fault.partition(", column")[0] for fault in found.faults] == [
        f"{path}: is not TOML: line {line}" for line in (2, 3, 6, 8)
    ]
    assert found.tables == {"d": {"size": 5}}


def test_a_table_within_a_faulty_one_goes_with_it(tmp_path: Path) -> None:
    """A check of what is left of the table would report options that are there."""
    found = read(tmp_path / "b.toml", "[boxes.a]\nsize = = 1\n[boxes.a.lid]\nred = 1\n[boxes.ab]\nsize = 1\n")
    assert len(found.faults) == 1
    assert found.tables == {"ab": {"size": 1}}


def test_a_faulty_file_has_at_most_twenty_faults(tmp_path: Path) -> None:
    """A file of another kind must not fill the screen."""
    assert len(read(tmp_path / "b.toml", "words of a letter\n" * 500).faults) == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[boxes.a]\nnames = ["x",\n', "up to the end of the file"),
        ("[boxes.a]\nsize = 1\nname = '''\nx\n", "is not TOML"),
        ("x = 1\n", "holds tables named [boxes.NAME], and nothing else"),
        ("boxes = 3\n", "holds tables named [boxes.NAME]"),
        ("", "holds tables named [boxes.NAME]"),
        ("[boxes]\n[crates.x]\nsize = 1\n", "holds tables named [boxes.NAME]"),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_of_another_form_is_told(tmp_path: Path, text: str, words: str) -> None:
    """With its path."""
    found = read(tmp_path / "b.toml", text)
    assert any(words in fault for fault in found.faults)
    assert all(str(tmp_path / "b.toml") in fault for fault in found.faults)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, a folder, or not text: with the variable that names it, or the line."""
    missing, folder = (read_tables(str(p), "BOXES", "boxes").faults for p in (tmp_path / "no", tmp_path))
    assert missing == (f"BOXES: {tmp_path / 'no'} cannot be read: No such file or directory",)
    assert folder == (f"BOXES: {tmp_path} cannot be read: Is a directory",)
    (tmp_path / "b.toml").write_bytes(b"[boxes.a]\nsize = \xff\n")
    assert read_tables(str(tmp_path / "b.toml"), "BOXES", "boxes").faults[0].endswith("line 2 is not UTF-8")


def test_every_fault_of_an_entry_is_told_with_its_path() -> None:
    """Fields that are missing, unknown or of another type, at any depth."""
    told = read_entry(
        {
            "names": ["x", 1, 2],
            "lid": {"red": 256, "blue": 1},
            "sides": {"left": {"green": "secret"}, "right": 1},
            "colour": "secret",
        },
        Box,
        "a box",
    )
    assert isinstance(told, list)
    told_fields = [fault.partition(":")[0] for fault in told]
    assert told_fields == [
        *("size", "names[1]", "names[2]", "lid.red", "lid.blue", "sides.left.green", "sides.right", "colour"),
    ]
    assert told[0] == "size: is missing"
    assert told[-1] == "colour: is no option of a box; there are size, names, lid, sides"
    assert "secret" not in " ".join(told)


def test_a_good_entry_is_its_value() -> None:
    """Of the type that was asked for."""
    value = read_entry({"size": 3, "lid": {"red": 1}, "sides": {"left": {}}}, Box, "a box")
    assert value == Box(3, lid=Colour(red=1), sides={"left": Colour()})
    assert read_entry(3, Box, "a box") == ["is not a table"]


@given(st.text(alphabet="[]='\"\n.#a1 {},", max_size=200))
def test_no_text_makes_the_reading_fail(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever is in the file, there are tables or faults."""
    found = read(tmp_path_factory.getbasetemp() / "any.toml", text)
    assert found.faults or isinstance(found.tables, dict)
