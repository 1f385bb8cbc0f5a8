"""The health check of a worker's container looks at the workers of its own host."""

import importlib.util
from pathlib import Path

import pytest

from tokentail.jobs.fleet import Fleet, Lease

_SCRIPT = Path(__file__).parents[2] / "deploy" / "worker_alive.py"
_SPEC = importlib.util.spec_from_file_location("worker_alive", _SCRIPT)
assert _SPEC
assert _SPEC.loader
worker_alive = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(worker_alive)

NAMES = (
    "web-17-abcdef",
    "web-2-17-abcdef",
    "web-2-3-17-abcdef",
    "web-17-abcdef-18-abcdef",
    "webs-17-abcdef",
    "a-web-17-abcdef",
    "WEB-17-abcdef",
    "web-17",
    "web-x-abcdef",
    "web-17-abcdefg",
    "web",
    "",
)


class PlainFleet(Fleet):
    """Leases of these workers, whose counters are their places."""

    def __init__(self) -> None:
        super().__init__(client=None)

    def leases(self) -> dict[str, Lease]:
        return {name: Lease(counter, 1, [], []) for counter, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("web", "web-17-abcdef"),
        ("web-2", "web-2-17-abcdef"),
        ("web-2-3", "web-2-3-17-abcdef"),
        ("web-17-abcdef", "web-17-abcdef-18-abcdef"),
        ("webs", "webs-17-abcdef"),
        ("we", None),
        ("web-", None),
        ("w.b", None),
        ("", None),
    ],
)
def test_a_host_is_healthy_by_its_own_workers_alone(host: str, name: str | None) -> None:
    """A host whose name is the beginning of another's is not kept healthy by the other's workers."""
    found = {} if name is None else {name: NAMES.index(name)}
    assert worker_alive.counters(PlainFleet(), host) == found
