"""`status`, `cancel`, `delete` and `share`: one job, looked at, stopped, erased, or shown to others."""

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
    # An operator's key sees these, too.
    "owner",
    "user",
    "provider",
    "address",
    "provider_calls",
    "call_error",
    "worker",
    "losses",
)


_LEAST_LINK_S, _MOST_LINK_S = 60, 604_800


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@server_options
def status(job_id: str, as_json: bool, url: str, api_key: str | None) -> None:
    """Print what is known of a job.

    Example: tokentail status y4twkrxz7y3hv6dhtc198tee5t
    """
    with connect(url, api_key) as client:
        job = client.job(job_id)
    click.echo(json.dumps(job.body) if as_json else _describe(job))


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@server_options
def cancel(job_id: str, as_json: bool, url: str, api_key: str | None) -> None:
    """Stop a job, queued or running. One that has ended stays as it is.

    Example: tokentail cancel y4twkrxz7y3hv6dhtc198tee5t
    """
    with connect(url, api_key) as client:
        job = client.cancel(job_id)
    if as_json:
        click.echo(json.dumps(job.body))
    else:
        click.echo("cancelled" if job.status is Status.CANCELLED else f"it had ended before: {job.status}")


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@server_options
def delete(job_ids: tuple[str, ...], url: str, api_key: str | None) -> None:
    """Stop jobs and erase their content for good.

    Example: tokentail delete y4twkrxz7y3hv6dhtc198tee5t
    """
    with connect(url, api_key) as client:
        for job_id in job_ids:
            client.delete(job_id)
            click.echo(f"erased {job_id}")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--hours",
    type=float,
    default=168,
    show_default=True,
    callback=lambda _context, _option, hours: _seconds(hours),
    help="How long it works, from 0.02 (a minute) to 168 (a week).",
)
@click.option("--revoke", is_flag=True, help="Refuse every link to the job that was made so far.")
@as_json
@server_options
def share(job_id: str, hours: int, as_json: bool, url: str, api_key: str | None, *, revoke: bool) -> None:
    """Print a link with which others can read one job.

    Example: tokentail share --hours 24 y4twkrxz7y3hv6dhtc198tee5t
    """
    with connect(url, api_key) as client:
        if revoke:
            client.revoke_shares(job_id)
            click.echo(json.dumps({"revoked": job_id}) if as_json else "all links to the job are refused from now on")
            return
        link = client.share(job_id, expires_in_s=hours)
    if as_json:
        ends = link.expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if link.expires_at else None
        click.echo(json.dumps({"link": link.link, "expires_at": ends}))
        return
    click.echo(link.link)
    until = f"until {link.expires_at:%Y-%m-%d %H:%M:%S} UTC" if link.expires_at else "for as long as the job"
    click.echo(f"tokentail: it works {until}", err=True)


def _seconds(hours: float) -> int:
    """The time in seconds. Raises click.BadParameter for a time that no link may have."""
    if not _LEAST_LINK_S <= hours * 3600 < _MOST_LINK_S + 1:  # also not for NaN
        raise click.BadParameter("a link works for 0.02 hours (a minute) to 168 hours (a week)")
    return int(hours * 3600)


def _describe(job: RemoteJob) -> str:
    facts = [(name, job.body.get(name)) for name in _SHOWN]
    facts += [(f"usage.{name}", count) for name, count in (job.body.get("usage") or {}).items()]
    facts += [("error", (job.body.get("error") or {}).get("message"))]
    shown = [(name, value) for name, value in facts if value is not None]
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"{name:{width}}  {value}" for name, value in shown)
