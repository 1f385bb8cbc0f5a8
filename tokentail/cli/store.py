"""`store`: the Redis of this deployment, its address, what fills it, and the largest jobs."""

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from tokentail.cli.connection import as_json
from tokentail.config.settings import load_settings
from tokentail.config.store_use import uses_of
from tokentail.errors import StoreUnavailable
from tokentail.redis.census import Census, take_census
from tokentail.redis.client import address_of, connect
from tokentail.supervisor.embedded_valkey import embedded_url

_TIMEOUT_S = 10.0


@click.command()
@click.option("--data-dir", help="Where `tokentail up` keeps its data (TOKENTAIL_DATA_DIR; ./data).")
@click.option("--largest", type=click.IntRange(0, 1000), default=10, show_default=True, help="How many jobs to list.")
@as_json
def store(data_dir: str | None, largest: int, as_json: bool) -> None:
    """Print where Redis is, what fills it, and the largest jobs. It looks at every key, and at no content.

    It asks Redis itself, so it works while no web server runs. Example: tokentail store --largest 3
    """
    environment = dict(os.environ) | ({"TOKENTAIL_DATA_DIR": data_dir} if data_dir else {})
    settings = load_settings(environment)
    own = embedded_url(Path(settings.data_dir))
    reports = [_report(use.url or own, use.setting, largest) for use in uses_of(settings)]
    click.echo(json.dumps(reports) if as_json else "\n\n".join(map(_text, reports)))


def _report(url: str, setting: str, largest: int) -> dict[str, Any]:
    with connect(url, timeout_s=_TIMEOUT_S, setting=setting) as client:
        try:
            census = take_census(client, largest)
        except StoreUnavailable as error:
            own = "is `tokentail up` running, with this --data-dir? With a Redis of your own set REDIS_URL"
            remedy = error.remedy or own
            raise StoreUnavailable(f"no Redis serves at {address_of(client)}; {remedy} ({error})") from None
        return {"address": address_of(client), **_body(census)}


def _body(census: Census) -> dict[str, Any]:
    kinds = {kind: {"keys": census.keys[kind], "memory": size} for kind, size in census.memory.most_common()}
    return {"server": census.server, "jobs": len(census.jobs), "kinds": kinds, "largest": census.largest}


def _text(report: dict[str, Any]) -> str:
    server = report["server"]
    limit = _size(server["memory_limit"]) if server["memory_limit"] else "no limit"
    file = f"append-only file of {_size(server['append_only_file_bytes'])}"
    lines = [
        f"address   {report['address']}",
        f"server    {server['version']}, {file if server['append_only_file'] else 'no append-only file'}",
        *(f"silent    {node}, a node of the Cluster: its keys are not counted" for node in server["silent"]),
        f"memory    {_size(server['memory'])} of {limit}; when full: {server['when_full']}",
        f"jobs      {report['jobs']}",
        "",
        f"{'keys':>9}  {'memory':>9}  of",
        *(f"{each['keys']:>9}  {_size(each['memory']):>9}  {kind}" for kind, each in report["kinds"].items()),
    ]
    if report["largest"]:
        lines += ["", f"{'memory':>9}  {'tokens':>7}  {'status':9}  {'id':26}  {'expires in':>10}  model"]
        lines += [_line(job) for job in report["largest"]]
    return "\n".join(lines)


def _line(job: dict[str, Any]) -> str:
    left_h = (int(job["expires_at"]) / 1000 - time.time()) / 3600 if job["expires_at"].isdigit() else None
    left = "-" if left_h is None else "is gone" if left_h <= 0 else f"{left_h:.1f} h"
    facts = f"{job['tokens'] or '-':>7}  {job['status'] or '-':9}  {job['id']}  {left:>10}  {job['model']}"
    return f"{_size(job['memory']):>9}  {facts}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
