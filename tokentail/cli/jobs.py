"""`status` and `cancel`: one job, looked at or stopped."""

import json

import click

from tokentail.cli.connection import as_json, connect, server_options
from tokentail.client import RemoteJob
from tokentail.jobs.job import Status

# What a person wants to know, in this order; what is null is left out.
_SHOWN = (
    "status",
    "model",
    "queue_position",
    "attempts",
    "created_at",
    "started_at",
    "ended_at",
    "expires_at",
    "time_to_first_token_ms",
    "token_count",
    "finish_reason",
)


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@server_options
def status(job_id: str, as_json: bool, url: str, api_key: str | None) -> None:
    """Print what is known of a job."""
    with connect(url, api_key) as client:
        job = client.job(job_id)
    click.echo(json.dumps(job.body) if as_json else _describe(job))


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@server_options
def cancel(job_id: str, as_json: bool, url: str, api_key: str | None) -> None:
    """Stop a job, queued or running. One that has ended stays as it is."""
    with connect(url, api_key) as client:
        job = client.cancel(job_id)
    if as_json:
        click.echo(json.dumps(job.body))
    else:
        click.echo("cancelled" if job.status is Status.CANCELLED else f"it had ended before: {job.status}")


def _describe(job: RemoteJob) -> str:
    facts = [(name, job.body.get(name)) for name in _SHOWN]
    facts += [(f"usage.{name}", count) for name, count in (job.body.get("usage") or {}).items()]
    facts += [("error", (job.body.get("error") or {}).get("message"))]
    shown = [(name, value) for name, value in facts if value is not None]
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"{name:{width}}  {value}" for name, value in shown)
