"""tokentail.js in other runtimes than browsers, against a running `tokentail up`: `make runtimes` prints what works.

Exits with 1 if an answer is not whole or comes by another transport than is known. It needs the registry of npm.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.acceptance.running import running_up
from tests.others import RUNTIMES, runtime, with_npm_packages

PROGRAMS = Path(__file__).parent / "runtime_programs"
_CLIENT = Path(str(files("app") / "static" / "client" / "tokentail.js"))
_WITHIN_S = 120
_TRANSPORTS = ("sse", "websocket", "long", "short", "auto")
_REACT_NATIVE = "React Native's fetch (whatwg-fetch 3.6.20), in Node 24"


_FIREFOX = "Firefox, by WebDriver BiDi"
_PACKAGES = {_REACT_NATIVE: ("whatwg-fetch@3.6.20", "ws@8.18.3"), _FIREFOX: ("puppeteer-core@25.16.0",)}
_NO_STREAMS = "this runtime cannot read a response as it arrives"


def main() -> int:
    """Run the client in each runtime, and print a row for each."""
    print(
        f"| runtime | {' | '.join(_TRANSPORTS)} | abort, cancel |\n| --- |{' --- |' * (len(_TRANSPORTS) + 1)}",
        flush=True,
    )
    titles = [*RUNTIMES, _REACT_NATIVE]
    if shutil.which("firefox-esr"):
        titles.append(_FIREFOX)
    else:
        print("Firefox is not here (on Debian: apt-get install firefox-esr).", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, running_up(Path(folder)) as up:
        return 1 if sum(not _row(each, up.url) for each in titles) else 0


def _row(title: str, url: str) -> bool:
    """Print the row of one runtime; whether all is well there."""
    ran = subprocess.run(
        [*_command(title), url, shutil.which("firefox-esr") or ""],
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    if ran.returncode:
        print(f"| {title} | fails: {ran.stderr[-500:]} |", flush=True)
        return False
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    cells = [_cell(transport, told[transport]) for transport in _TRANSPORTS]
    end = f"{told['abort']}, {told['cancel']}"
    page = "".join(f", {name}: {told[name]}" for name in ("page", "eventSource", "version") if name in told)
    print(f"| {title} | {' | '.join(cells)} | {end}{page} |", flush=True)
    is_known = title == _REACT_NATIVE and _NO_STREAMS in str(told["sse"])
    others = _TRANSPORTS[1:] if is_known else _TRANSPORTS
    is_page_right = told.get("page", True) and told.get("eventSource", True)
    is_whole = all(told[transport].get("isWhole") for transport in others)
    return is_whole and is_page_right and end == "AbortError, cancelled"


def _cell(transport: str, told: dict[str, Any]) -> str:
    if not told.get("isWhole"):
        return str(told.get("error", told))
    used = "" if told["used"] == [transport] else f", by {' then '.join(told['used'])}"
    return f"yes, {told['steps']} steps{used}"


def _command(title: str) -> list[str]:
    """The command of the program in this runtime, but for the server's address."""
    folder = with_npm_packages("runtimes", *_PACKAGES.get(title, ()))
    for source in (_CLIENT, *PROGRAMS.glob("*.mjs")):
        (folder / source.name).write_bytes(source.read_bytes())
    if title == _REACT_NATIVE:
        return [str(runtime("node 24")), str(folder / "react_native.mjs")]
    if title == _FIREFOX:
        return [str(runtime("node 24")), str(folder / "firefox.mjs")]
    options = ["run", "-A"] if title == "deno" else []
    return [str(runtime(title)), *options, str(folder / "follow.mjs")]


if __name__ == "__main__":
    sys.exit(main())
