"""The calls in docs/protocol.md: its curl commands and the samples of their output.

`python -m tests.protocol_samples` runs every command against a server of its own, and replaces each sample that what
was printed does not agree with. A command is a block `sh` with curl; the block `json` or `text` right below it is a
sample of its output.
"""

import json
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.running import environment, running_up

DOCUMENT = Path(__file__).parents[1] / "docs" / "protocol.md"
KEY = "a-key-for-the-samples"
_BLOCK = re.compile(r"^```sh\n(?P<script>.*?)^```\n(?:\n```(?P<kind>json|text)\n(?P<sample>.*?)^```$)?", re.M | re.S)
_CURL = re.compile(r"\bcurl (.*?)(?=\)|$| \|)", re.MULTILINE)
_WIDTH = 130


@dataclass(frozen=True)
class Sample:
    """One command of the document, and the sample of what it prints; `kind` is empty where it prints nothing."""

    script: str
    kind: str
    text: str

    def agrees_with(self, printed: str) -> bool:
        """Whether the output has the shape of the sample: types of JSON, or the beginnings of lines of text."""
        if self.kind == "json":
            return shape(json.loads(self.text), json.loads(printed))
        return _beginnings(self.text) == _beginnings(printed)


def preamble(text: str) -> str:
    """The document's first block, which all commands assume: the address, the key and a job."""
    return next(_BLOCK.finditer(text))["script"]


def samples(text: str) -> list[Sample]:
    """All commands behind the first block."""
    _, *blocks = _BLOCK.finditer(text)
    return [Sample(each["script"], each["kind"] or "", each["sample"] or "") for each in blocks]


def calls(script: str) -> Iterator[tuple[str, str]]:
    """The method and the path of each curl command; variables are left as they are."""
    for options in _CURL.findall(script.replace("\\\n", " ")):
        words = shlex.split(options)
        (url,) = (word for word in words if word.startswith("$U/"))
        has_body = {"-d", "--data"} & set(words)
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if has_body else "GET"
        yield method, url.removeprefix("$U").partition("?")[0]


def run(text: str, script: str, url: str) -> str:
    """What a command prints; it must succeed. `text` is the document."""
    whole = preamble(text).replace("http://127.0.0.1:8000", url) + script
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", whole],
        env=environment(TOKENTAIL_API_KEY=KEY),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, f"{script}{ran.stdout}{ran.stderr}"
    return ran.stdout


def shape(one: Any, other: Any) -> bool:
    """Whether two JSON values have the same members and types. Null has every type; lists are alike by their items."""
    if one is None or other is None:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(shape(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return all(any(shape(item, like) for like in one) for item in other) if one and other else True
    if {type(one), type(other)} == {int, float}:
        return True
    return type(one) is type(other)


def pretty(value: Any, indent: int = 1) -> str:
    """JSON in lines that fit the document: members share a line as long as there is room."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {pretty(member, indent + 1)}" for name, member in value.items()]
    else:
        parts = [pretty(item, indent + 1) for item in value]
    lines = [parts[0]]
    for part in parts[1:]:
        if "\n" in part or "\n" in lines[-1] or len(lines[-1]) + len(part) + indent + 3 > _WIDTH:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + (",\n" + " " * indent).join(lines) + closing


def _beginnings(text: str) -> list[str]:
    """How the lines begin, each beginning once: a stream may have more lines of a kind in one run than in another.

    A stream's comments, which begin with a colon and which readers skip, do not count.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith(":")]
    return list(dict.fromkeys(re.match(r"[^:]*:?", line)[0] for line in lines))  # type: ignore[index]


def renewed(text: str, url: str) -> str:
    """The document with what its commands print now, where that has another shape than the sample."""

    def with_output(found: re.Match[str]) -> str:
        if not found["kind"]:
            return found[0]
        printed = run(text, found["script"], url).replace(socket.gethostname(), "host")
        if Sample(found["script"], found["kind"], found["sample"]).agrees_with(printed):
            return found[0]
        sample = f"{pretty(json.loads(printed))}\n" if found["kind"] == "json" else printed.rstrip("\n") + "\n"
        return f"```sh\n{found['script']}```\n\n```{found['kind']}\n{sample}```"

    first = next(_BLOCK.finditer(text)).end()
    return text[:first] + _BLOCK.sub(with_output, text[first:])


def main() -> int:
    """Write the samples anew."""
    text = DOCUMENT.read_text()
    with tempfile.TemporaryDirectory() as folder, running_up(Path(folder), TOKENTAIL_API_KEYS=KEY) as up:
        DOCUMENT.write_text(renewed(text, up.url))
    return 0


if __name__ == "__main__":
    sys.exit(main())
