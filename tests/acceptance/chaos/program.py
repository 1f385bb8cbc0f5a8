"""One of our programs as a real process, which is started, hurt and started again."""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.running import environment
from tests.child import Child


class Program(Child):
    """`python -m module`, its output in a file of that name in the folder."""

    def __init__(
        self, module: str, name: str, folder: Path, settings: Mapping[str, str], python: str = sys.executable
    ) -> None:
        super().__init__(name, [python, "-P", "-m", module], folder / f"{name}.log", environment(**settings))

    async def exit_code(self, within_s: float) -> int | None:
        """The program's exit code as soon as it has exited; None when it still runs after `within_s`."""
        assert self._process is not None
        deadline = time.monotonic() + within_s
        while self._process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self._process.poll()
