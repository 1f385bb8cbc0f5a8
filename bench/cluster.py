"""Cluster: appends a second, and how long one waits, on 1, 3 and 6 nodes beside one Valkey; all on the same cores.

Each job writes some tokens and waits until the store has them, so that every append carries just these. The worker's
writing end and all servers share the machine: what is measured is the price of the split, not what more machines give.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from bench.measure import Measure, latency_ms, measured, per
from bench.program import run_program
from tests.cluster_server import ClusterServer
from tests.free_ports import free_ports
from tests.valkey_server import ValkeyServer

_NODES = (1, 3, 6)
_TOKENS = (1, 5)  # in one append
_JOBS = 100
_APPENDS = 10_000  # of all jobs together, in one run
_RUNS = 4
_ONE = "one Valkey"


def measure_cluster() -> Iterator[Measure]:
    """For each number of nodes and of tokens in an append: the rate, the wait, and the client's CPU."""
    with ExitStack() as servers:
        (port,) = free_ports(1)
        servers.enter_context(ValkeyServer(port=port))
        stores = {_ONE: f"redis://127.0.0.1:{port}"}
        for count in _NODES:
            stores[str(count)] = servers.enter_context(ClusterServer(count)).url
        for tokens in _TOKENS:
            found = run_program(
                "bench.cluster_appender", stores=stores, runs=_RUNS, jobs=_JOBS, appends=_APPENDS, tokens=tokens
            )
            for count in _NODES:
                nodes = str(count)
                name = f"cluster, {nodes} {'node' if count == 1 else 'nodes'}, {tokens} a time"
                pair = found[nodes], found[_ONE], _ONE
                yield measured(name, "appends/s", per("appends", "wall_s"), *pair)
                for percent in (50, 99):
                    yield measured(f"{name}, wait p{percent}", "ms", latency_ms(percent), *pair, "difference")
                yield measured(f"{name}, client CPU an append", "µs", per("cpu_s", "appends", 1e6), *pair)
