"""A TOML file with named tables of one kind, such as [providers.NAME]: reads it, and finds all of its faults at once.

A syntax fault hides only its own section: the rest of the file is read and checked as well. No fault shows a value,
which may be a secret.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

import msgspec

_MOST_BYTES = 1 << 20  # so that reading a file takes a bounded time
_MOST_FAULTS = 20  # of syntax
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"\s*\[{1,2}\s*([^\]]*?)\s*\]")

Entry = TypeVar("Entry", bound=msgspec.Struct)


@dataclass(frozen=True)
class NamedTables:
    """What was read: the tables by name, and the faults of the file as a whole, each with the file's path."""

    tables: dict[str, Any]
    faults: tuple[str, ...] = ()
    text: str = field(default="", repr=False)  # the value of the one text beside the tables


def read_tables(path: str, variable: str, kind: str, beside: str = "") -> NamedTables:
    """The tables [kind.NAME] of the file that `variable` names; none without a path.

    `beside` is the name of a text that may stand at the top of the file; such a file may have no tables.
    """
    if not path:
        return NamedTables({})
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                return NamedTables({}, (f"{path}: is larger than {_MOST_BYTES} bytes",))
            text = content.decode()
    except OSError as error:
        return NamedTables({}, (f"{variable}: {path} cannot be read: {error.strerror}",))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return NamedTables({}, (f"{path}: is not TOML: line {line} is not UTF-8",))
    document, told = _parsed(text.replace("\r\n", "\n").removeprefix("\ufeff"))
    faults = [f"{path}: is not TOML: {fault}" for fault in told]
    tables, said = document.get(kind), document.pop(beside, "")
    if set(document) - {kind} or not (isinstance(tables, dict) or ((faults or beside) and tables is None)):
        besides = f"{beside} at the top" if beside else "nothing else"
        faults.append(f"{path}: holds tables named [{kind}.NAME], and {besides}")
    if not isinstance(said, str):
        faults.append(f"{path}: {beside}: is not a text")
        said = ""
    return NamedTables(tables if isinstance(tables, dict) else {}, tuple(faults), said)


def read_entry(table: Any, kind: type[Entry], noun: str) -> Entry | list[str]:
    """The table as a value of `kind`, or all that is wrong with its fields. `noun` says what the table describes."""
    if not isinstance(table, dict):
        return ["is not a table"]
    return list(_faults(table, kind, "", noun)) or msgspec.convert(table, kind)


def _parsed(text: str) -> tuple[dict[str, Any], list[str]]:
    """The document without the sections that have a syntax fault, and those faults."""
    lines = text.split("\n")
    faults: list[str] = []
    faulty: set[int] = set()  # the first lines of sections
    while True:
        try:
            document = tomllib.loads("\n".join(lines))
            break
        except RecursionError:
            return {}, ["it is nested too deeply"]
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            words = _PLACE.sub("", str(error))
            if place is None or place[1] is None:  # the end of a text or list was not found, so no later line is known
                return {}, [*faults, f"{words}, up to the end of the file"]
            at = int(place[1]) - 1
            faults.append(f"line {at + 1}, column {place[2]}: {words}")
            if len(faults) == _MOST_FAULTS:
                return {}, faults
            faulty.add(_section_of(lines, at))
            _blank(lines, at)
    if not faulty:
        return document, faults
    kept = "\n".join(_without(text.split("\n"), faulty))
    try:
        return tomllib.loads(kept), faults
    except tomllib.TOMLDecodeError:
        return {}, faults  # what is left depends on what was left out


def _section_of(lines: list[str], at: int) -> int:
    return next((i for i in range(at, -1, -1) if _is_header(lines[i])), 0)


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("[") and not line.startswith((" ", "\t"))


def _blank(lines: list[str], at: int) -> None:
    """Take out a line with a fault; with a header, its whole section, whose keys would fall to the one before."""
    end = at + 1
    if _is_header(lines[at]):
        end = next((i for i in range(end, len(lines)) if _is_header(lines[i])), len(lines))
    lines[at:end] = [""] * (end - at)


def _without(lines: list[str], faulty: set[int]) -> Iterator[str]:
    """The lines without the faulty sections, and without those of tables within these."""
    names = [found[1] for at in faulty if (found := _HEADER.match(lines[at])) and found[1]]
    is_left_out = 0 in faulty
    for at, line in enumerate(lines):
        if _is_header(line):
            found = _HEADER.match(line)
            name = found[1] if found else ""
            is_left_out = at in faulty or any(name == each or name.startswith(f"{each}.") for each in names)
        yield "" if is_left_out else line


def _faults(value: Any, kind: Any, path: str, noun: str) -> Iterator[str]:
    """Every fault of a value that must be of `kind`, however deep, with the path to it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        yield from _field_faults(value, kind, path, noun)
        return
    arguments = get_args(kind)
    if get_origin(kind) is dict and isinstance(value, dict):
        for name, each in value.items():
            yield from _faults(each, arguments[1], f"{path}.{name}", noun)
        return
    if get_origin(kind) is list and isinstance(value, list):
        for at, each in enumerate(value):
            yield from _faults(each, arguments[0], f"{path}[{at}]", noun)
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield f"{path}: {error}"


def _field_faults(value: dict[str, Any], kind: type[msgspec.Struct], path: str, noun: str) -> Iterator[str]:
    fields = {each.encode_name: each for each in msgspec.structs.fields(kind)}
    before = f"{path}." if path else ""
    for name, each in fields.items():
        if each.required and name not in value:
            yield f"{before}{name}: is missing"
    for name, each_value in value.items():
        if name in fields:
            yield from _faults(each_value, fields[name].type, f"{before}{name}", noun)
        else:
            meant = difflib.get_close_matches(name, fields, n=1)
            known = f"; did you mean {meant[0]}?" if meant else f"; there are {', '.join(fields)}"
            yield f"{before}{name}: is no option of {path or noun}{known}"
