"""The layers of the core, in pyproject.toml: import-linter holds the order, and nothing stands outside of it."""

import re
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[2]


def test_each_module_of_jobs_log_and_redis_has_its_layer() -> None:
    """A module without a layer could import anything. The log's are one layer."""
    contracts = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [core] = [contract for contract in contracts if contract["name"].startswith("the core:")]
    named = {module for layer in core["layers"] for module in re.split(" [:|] ", layer)}
    assert "tokentail.log" in named
    for room in ("jobs", "redis"):
        modules = {f"tokentail.{room}.{path.stem}" for path in (_PROJECT / "tokentail" / room).glob("*.py")}
        missing = modules - {f"tokentail.{room}.__init__"} - named
        assert not missing, "give each a layer in the contract of pyproject.toml that begins with `the core`"
