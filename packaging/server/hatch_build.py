"""Adds `app` and `worker`, which are at the top of the repository, to the sdist and to a wheel that is built there.

An unpacked sdist has them beside this file; an editable installation leads to the top of the repository instead.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGES = ("app", "worker")


class PackagesFromTop(BuildHookInterface[Any]):
    """hatchling finds the only hook of this file by itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include each package that is not beside this file. hatchling calls this before it builds."""
        here = Path(self.root)
        if version != "editable":
            missing = [name for name in _PACKAGES if not (here / name).is_dir()]
            build_data["force_include"].update({str(here.parents[1] / name): name for name in missing})
