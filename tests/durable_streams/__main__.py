"""Run the conformance tests of Durable Streams on the reads of a web process.

They are those of `@durable-streams/server-conformance-tests`, from npm. `python -m tests.durable_streams` prints what
failed, what was left out and why, and how many passed; it exits with 1 if a test failed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.durable_streams.left_out import LEFT_OUT
from tests.durable_streams.shim import shim
from tests.http_harness import open_harness
from tests.loopback import LoopThread
from tests.others import node_argv, with_npm_packages
from tests.valkey_server import ValkeyServer
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire

_SUITE = "@durable-streams/server-conformance-tests@0.3.6"
_HERE = Path(__file__).parent
_WITHIN_S = 900
_LEFT_OUT = tuple(name for names in LEFT_OUT.values() for name in names)
_SETTINGS = {"TOKENTAIL_MAX_WAIT_S": "2", "TOKENTAIL_CORS_ORIGINS": "*"}


def main() -> int:
    """Run them, and print what came out."""
    with ValkeyServer() as valkey, LoopThread() as loop_thread:
        client = valkey.connect()
        backend = wire(client, client, load_settings(_SETTINGS))
        harness = open_harness(backend, loop_thread, valkey.url, has_worker=True, is_timeless=False, **_SETTINGS)
        with shim(harness) as url:
            results = _results(url)
        harness.close()
        client.close()
    for reason, names in LEFT_OUT.items():
        print(f"left out, {sum(name.startswith(names) for name in results)}: {reason}")
    ran = {name: result for name, result in results.items() if not name.startswith(_LEFT_OUT)}
    failed = [name for name, result in ran.items() if result["status"] != "passed"]
    for name in failed:
        print(f"FAILED {name}\n    {' '.join(ran[name]['failureMessages'])[:600]}")
    unknown = [name for name in _LEFT_OUT if not any(each.startswith(name) for each in results)]
    print(*(f"no such test: {name}" for name in unknown), sep="\n", end="")
    print(f"passed: {len(ran) - len(failed)} of {len(ran)}")
    return 1 if failed or unknown or not ran else 0


def _results(url: str) -> dict[str, Any]:
    """The result of each test of the suite by its full name; those that are left out were skipped."""
    folder = with_npm_packages("durable-streams", _SUITE)
    for name in ("conformance.test.mjs", "vitest.config.mjs"):
        (folder / name).write_bytes((_HERE / name).read_bytes())
    names = "|".join(map(re.escape, _LEFT_OUT))
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary, "report.json")
        told = {"CONFORMANCE_URL": url, "NAMES": f"^(?!(?:{names}))", "REPORT": str(report)}
        argv = [*node_argv(folder / "node_modules" / "vitest" / "vitest.mjs"), "run", "--root", str(folder)]
        ran = subprocess.run(
            argv, cwd=folder, env=os.environ | told, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
        if not report.exists():
            raise SystemExit(ran.stdout + ran.stderr)
        results = json.loads(report.read_text())["testResults"]
    return {each["fullName"]: each for file in results for each in file["assertionResults"]}


if __name__ == "__main__":
    sys.exit(main())
