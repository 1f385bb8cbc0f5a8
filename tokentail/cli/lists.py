"""`list` and `models`: the newest jobs, one's own or everybody's, and the models that can be asked for."""

import json
from collections.abc import Sequence

import click

from tokentail.cli.connection import as_json, connect, server_options
from tokentail.client import RemoteJob
from tokentail.jobs.job import Status

_COLUMNS = (("status", 9), ("id", 26), ("submitted", 16), ("model", 28), ("tokens", 7))
_OPERATORS = (("calls", 5), ("owner", 16))


@click.command("list")
@click.option("--all", "is_all", is_flag=True, help="The jobs of all owners, without content; for an operator's key.")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Jobs with this status.")
@click.option("--owner", help="With --all: jobs of this owner.")
@click.option("--user", help="Jobs of this user of the application.")
@click.option("--model", help="Jobs of this model, by its full name; a * at its end stands for anything.")
@click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Jobs with this metadata; may be repeated.")
@click.option("--since", help="Jobs submitted from then on: 15m, 2h, 7d, or a time such as 2026-01-31T12:00:00Z.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="The most jobs to print.")
@as_json
@server_options
def list_jobs(
    status: str | None,
    owner: str | None,
    user: str | None,
    model: str | None,
    metadata: tuple[str, ...],
    since: str | None,
    limit: int,
    as_json: bool,
    url: str,
    api_key: str | None,
    *,
    is_all: bool,
) -> None:
    """Print the newest jobs, a line each; a failed one with its reason below it.

    Example: tokentail list --all --status failed --since 1h
    """
    if owner and not is_all:
        raise click.UsageError("--owner needs --all: without it the list has the jobs of your own key")
    if metadata and is_all:
        raise click.UsageError("--metadata goes without --all: an operator's key sees no metadata")
    wanted = dict(map(_name_and_value, metadata))
    with connect(url, api_key) as client:
        found = (
            client.all_jobs(limit, status=status, owner=owner, user=user, model=model, since=since)
            if is_all
            else client.jobs(limit, status=status, user=user, model=model, metadata=wanted, since=since)
        )
        jobs = list(found)
    if found.missing:
        click.echo(f"tokentail: {found.missing} jobs of this list cannot be read now (see: tokentail doctor)", err=True)
    if as_json:
        for job in jobs:
            click.echo(json.dumps(job.body))
        return
    if jobs:
        click.echo(_row(_COLUMNS + _OPERATORS if is_all else _COLUMNS, *(name for name, _ in _COLUMNS + _OPERATORS)))
    for job in jobs:
        for line in _lines(job, is_all=is_all):
            click.echo(line)
    if not jobs and not found.missing:
        click.echo("tokentail: no job matches", err=True)


@click.command()
@as_json
@server_options
def models(as_json: bool, url: str, api_key: str | None) -> None:
    """Print the models that can be asked for; a name that ends in * takes any name there.

    Example: tokentail models
    """
    with connect(url, api_key) as client:
        served = client.models()
    if as_json:
        click.echo(json.dumps({"models": served.names, "default": served.default}))
        return
    for name in served.names:
        click.echo(f"{name}  (default)" if name == served.default else name)
    if not served.names:
        click.echo("tokentail: no worker has served a model yet; start one with: tokentail worker", err=True)


def _name_and_value(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise click.UsageError(f"--metadata: {text} is not NAME=VALUE, such as chat=17")
    return name, value


def _lines(job: RemoteJob, *, is_all: bool) -> list[str]:
    body = job.body
    at = str(body.get("created_at") or "")[:16].replace("T", " ")
    own = (job.status, job.id, at, job.model, body.get("token_count", "-"))
    lines = [_row(_COLUMNS, *own)]
    if is_all:
        lines = [_row(_COLUMNS + _OPERATORS, *own, body.get("provider_calls", "-"), body.get("owner") or "-")]
    if error := body.get("error"):
        lines.append(f"{'':9}  {error.get('type')}: {error.get('message')}")
    return lines


def _row(columns: Sequence[tuple[str, int]], *values: object) -> str:
    return "  ".join(f"{value!s:{width}}" for value, (_, width) in zip(values, columns, strict=False)).rstrip()
