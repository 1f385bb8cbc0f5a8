"""Plain English: `python -m tests.plain_english` lists sentences with one of five habits. `make check` runs it.

A sentence names its subject and can be understood without the code beside it. The check reads docstrings, comments and
messages of Python, comments of JavaScript, Lua and shell scripts, and the text of Markdown outside code.

To waive a line, write `plain-english: ok` into its comment or (as an HTML comment) into the Markdown line; a docstring
or message is waived by a comment of these words in the line before it. At most ten waivers may exist.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

WAIVER = "plain-english: ok"
MOST_WAIVERS = 10

_BEFORE_A_CLAUSE = "and|or|but|if|so|that|because|for|to|of|by|with|than|as|from|when|while|at|on"
HABITS = {
    "a clause with who as its subject; name the subject": re.compile(
        rf"\b[Ww]ho(?:m?ever)\b|(?:^|[.;:,(!?—] |\b(?:{_BEFORE_A_CLAUSE}) )[Ww]ho\b(?! (?:am|are) )"
    ),
    "a roundabout negation; say what the thing is": re.compile(
        r"\b(?:that|which|who) (?:is|are|was|were|has|have|had) none\b|\b(?:of|is|are) no matter\b"
        r"|\bas (?:one|ones|those) that ha(?:s|ve) none\b"
    ),
    "a motion in place of a fact": re.compile(
        r"\b(?:come|comes|came|coming) again\b|\bha(?:s|ve|d) gone\b"
        r"|\b(?:process|client|reader|worker|server|it|they) (?:is|are) going\b(?! to)"
    ),
    "hearsay in place of a fact; name what is sent, received, written or known": re.compile(
        r"\b(?:is|are|was|were|be|been|being|gets?|got) told\b(?! apart)|\b(?:has|have|had) heard\b"
    ),
}
NEEDS_CONTEXT = re.compile(
    r"(?:The same|Likewise|As above|Ditto|And|But|Also|So|It|Its|They|Their|Them|Those|Then|Neither|Nor|Otherwise)\b"
)
# Their subject is the habits themselves.
_UNCHECKED = {"tests/plain_english.py", "tests/unit/test_plain_english.py"}
_CODE = re.compile(r"`[^`]*`")
_FEWEST_WORDS = 5  # of a string that counts as a message


class Text(NamedTuple):
    """One piece of prose and where it starts. `is_docstring`: its first words must not lean on a text above it."""

    line: int
    text: str
    is_docstring: bool = False
    is_waived: bool = False


def main() -> int:
    """Print each finding as `file:line: habit: words`; the exit status is 1 when there is one, or a waiver too many."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    findings, waivers = [], 0
    for name in sorted(listed.stdout.splitlines()):
        path = Path(name)
        if "vendor" in path.parts or not path.is_file() or name in _UNCHECKED:
            continue
        for text in texts_of(path):
            waivers += text.is_waived
            findings += [f"{name}:{line}: {habit}: {words}" for line, habit, words in findings_in(text)]
    print(*findings, sep="\n", end="\n" if findings else "")
    if waivers > MOST_WAIVERS:
        print(f"{waivers} lines are waived; at most {MOST_WAIVERS} may be.")
    return int(bool(findings) or waivers > MOST_WAIVERS)


def findings_in(text: Text) -> Iterator[tuple[int, str, str]]:
    """Line, habit and offending words of each finding."""
    if text.is_waived:
        return
    prose = _CODE.sub("`…`", text.text)
    if text.is_docstring and (found := NEEDS_CONTEXT.match(prose)):
        yield text.line, "a docstring that needs the text above it", found[0]
    for offset, line in enumerate(prose.splitlines()):
        for habit, pattern in HABITS.items():
            for match in pattern.finditer(line.strip()):
                yield text.line + offset, habit, match[0].strip(" .,;:(")


def texts_of(path: Path) -> list[Text]:
    """The prose in one file, by the kind of file."""
    readers: dict[str, Callable[[str], Iterator[Text]]] = {
        ".py": python_texts,
        ".md": markdown_texts,
        ".js": lambda source: comment_texts(source, "//"),
        ".ts": lambda source: comment_texts(source, "//"),
        ".lua": lambda source: comment_texts(source, "--"),
        ".sh": lambda source: comment_texts(source, "#"),
    }
    reader = readers.get(path.suffix)
    return list(reader(path.read_text(encoding="utf-8"))) if reader else []


def python_texts(source: str) -> Iterator[Text]:
    """Docstrings, comments and messages of a Python file."""
    comments = {
        token.start[0]: token.string.lstrip("#!: ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for line, comment in comments.items():
        yield Text(line, comment.replace(WAIVER, ""), is_waived=WAIVER in comment and comment.strip() != WAIVER)
    waived = {line + 1 for line, comment in comments.items() if comment.strip() == WAIVER}
    for node, is_docstring in _strings(ast.parse(source)):
        yield Text(node.lineno, str(node.value), is_docstring, node.lineno in waived)


def _strings(tree: ast.Module) -> Iterator[tuple[ast.Constant, bool]]:
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(first.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node in docstrings:
                yield node, True
            elif len(node.value.split()) >= _FEWEST_WORDS:
                yield node, False


def markdown_texts(source: str) -> Iterator[Text]:
    """The lines of a Markdown file that are no code block."""
    is_code = False
    for number, line in enumerate(source.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield Text(number, line.replace(f"<!-- {WAIVER} -->", ""), is_waived=WAIVER in line)


def comment_texts(source: str, mark: str) -> Iterator[Text]:
    """Comments that stand alone in their line or behind code, and the lines of /* */ blocks where `mark` is //."""
    is_block = False
    for number, line in enumerate(source.splitlines(), start=1):
        stripped = line.strip()
        is_block = is_block or (mark == "//" and stripped.startswith("/*"))
        if is_block:
            yield Text(number, stripped.strip("/* "), is_waived=WAIVER in line)
        elif (found := re.search(rf"(?:^|\s){mark}\s(.*)$", line)) is not None:
            yield Text(number, found[1], is_waived=WAIVER in line)
        is_block = is_block and "*/" not in stripped


if __name__ == "__main__":
    sys.exit(main())
