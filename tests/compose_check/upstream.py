"""The upstream of `tests/acceptance/chaos`, in a container: `python -m tests.compose_check.upstream`."""

import asyncio

from tests.acceptance.chaos.upstream import Upstream


async def main() -> None:
    """Serve until the container stops."""
    await Upstream().start("0.0.0.0", 8080)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
