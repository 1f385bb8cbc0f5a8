"""docs/log_lines.md tells of the log lines that there are, with their levels and facts, and of no others."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tokentail.telemetry.log_lines import facts_of

pytestmark = pytest.mark.checkout

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"\| `([a-z_.]+)` \| ([a-z]+(?:, [a-z]+)*) \| (.+) \| (.+) \|")
_LEVELS = ("debug", "info", "warning", "error", "critical")
_METHODS = {level: level for level in _LEVELS} | {"exception": "error"}


@dataclass
class Written:
    """How one event is written, in all places together."""

    levels: set[str] = field(default_factory=set)
    facts: set[str] = field(default_factory=set)


class Reader(ast.NodeVisitor):
    """Finds the log calls of one module. Raises AssertionError for one that it does not understand."""

    def __init__(self, path: Path, events: dict[str, Written]) -> None:
        self._path = path
        self._events = events
        self._module = ast.parse(path.read_text())
        self._scope: ast.AST = self._module
        self._loggers = {"logging"}

    def read(self) -> None:
        for node in ast.walk(self._module):
            if isinstance(node, ast.Assign) and _is_logger(node.value):
                self._loggers |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.visit(self._module)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outer, self._scope = self._scope, node
        self.generic_visit(node)
        self._scope = outer

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Attribute(value=receiver, attr=method) if self._is_ours(receiver):
                if method == "log":
                    self._note(node, node.args[1], set(self._levels_of(node.args[0])))
                elif method in _METHODS:
                    self._note(node, node.args[0], {_METHODS[method]})
        self.generic_visit(node)

    def _is_ours(self, receiver: ast.expr) -> bool:
        return _is_logger(receiver) or (isinstance(receiver, ast.Name) and receiver.id in self._loggers)

    def _note(self, call: ast.Call, event: ast.expr, levels: set[str]) -> None:
        names = list(self._names_of(event))
        assert names, f"{self._path}:{call.lineno}: which event is this?"
        assert levels, f"{self._path}:{call.lineno}: at which level?"
        for name in names:
            self._events[name].levels |= levels
            for keyword in call.keywords:
                if keyword.arg == "extra":
                    facts = set(self._keys_of(keyword.value))
                    assert facts, f"{self._path}:{call.lineno}: which facts are these?"
                    self._events[name].facts |= facts

    def _names_of(self, event: ast.expr) -> Iterator[str]:
        """A literal; or one with an argument of the function in it, which its calls give as a literal."""
        match event:
            case ast.Constant(value=str(name)):
                yield name
            case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id=argument)), ast.Constant(value=str(rest))]):
                yield from (f"{given}{rest}" for given in self._given(argument))

    def _given(self, argument: str) -> Iterator[str]:
        assert isinstance(self._scope, ast.FunctionDef)
        place = [arg.arg for arg in self._scope.args.args].index(argument)
        for node in ast.walk(self._module):
            match node:
                case ast.Call(func=ast.Name(id=called), args=args) if called == self._scope.name:
                    given = args[place]
                    assert isinstance(given, ast.Constant), f"{self._path}:{node.lineno}: which event is this?"
                    yield str(given.value)

    def _levels_of(self, level: ast.expr) -> Iterator[str]:
        for expression in self._values_of(level):
            for node in ast.walk(expression):
                if isinstance(node, ast.Attribute) and node.attr.lower() in _LEVELS:
                    yield node.attr.lower()

    def _keys_of(self, facts: ast.expr) -> Iterator[str]:
        for expression in self._values_of(facts):
            for node in ast.walk(expression):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == facts_of.__name__:
                    yield from facts_of(Exception())
                if isinstance(node, ast.Dict):
                    for key, value in zip(node.keys, node.values, strict=True):
                        if key is None:
                            yield from self._keys_of(value)
                        elif isinstance(key, ast.Constant):
                            yield str(key.value)

    def _values_of(self, expression: ast.expr) -> list[ast.expr]:
        """The expression, or what the function assigns to this name."""
        if not isinstance(expression, ast.Name):
            return [expression]
        return [
            node.value
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == expression.id for target in node.targets)
        ]


def _is_logger(expression: ast.expr) -> bool:
    match expression:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logging"), attr="getLogger")):
            return True
    return False


@cache
def written() -> dict[str, Written]:
    """Every event in the sources."""
    events: dict[str, Written] = defaultdict(Written)
    for package in ("app", "worker", "tokentail"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            Reader(path, events).read()
    return dict(events)


def told() -> list[tuple[str, set[str], str]]:
    """Event, levels and meaning of each row of the document."""
    lines = (_ROOT / "docs" / "log_lines.md").read_text().splitlines()
    rows = [_ROW.fullmatch(line) for line in lines if line.startswith("| ") and line[2:5] not in {"eve", "---"}]
    assert None not in rows, "a row of another form"
    return [(row[1], set(row[2].split(", ")), row[3]) for row in rows if row]


def test_every_event_has_one_row_with_its_levels() -> None:
    """What the log says can be looked up, and nothing is promised that it never says."""
    rows = told()
    assert sorted((event, levels) for event, levels, _ in rows) == sorted(
        (event, how.levels) for event, how in written().items()
    )


def test_every_fact_of_an_event_is_told() -> None:
    """By its name, as it stands in the line."""
    events = written()
    untold = {
        event: missing
        for event, _, meaning in told()
        if (missing := {fact for fact in events[event].facts if not re.search(rf"`{fact}[`=]", meaning)})
    }
    assert not untold


def test_what_is_found_in_the_sources_is_what_is_known_to_be_there() -> None:
    """The reader of sources understands each way in which a line is written."""
    events = written()
    assert events["request"] == Written({"info", "debug"}, {"method", "path", "status", "ms", "code"})
    assert events["sweep.store_unavailable"] == Written({"warning"}, {"error"})
    assert events["job.claimed"] == Written({"info"}, {"job_id", "owner", "user", "model", "worker", "attempts"})
