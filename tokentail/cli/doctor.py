"""`doctor`: looks at every part of a deployment, from the settings to a demo job, and says what to do."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from tokentail.cli.check import read_settings, try_providers
from tokentail.cli.connection import as_json, connect, server_options
from tokentail.cli.exit_code import ExitCode
from tokentail.client import Client
from tokentail.client.responses import ApiError, ServerUnreachable
from tokentail.config.address import Address
from tokentail.config.settings import Settings
from tokentail.config.store_use import uses_of
from tokentail.errors import StoreUnavailable, TokentailError
from tokentail.jobs.job import Status
from tokentail.redis.client import address_of, ask_each, memory_of
from tokentail.redis.client import connect as connect_redis
from tokentail.redis.errors import redis_errors
from tokentail.redis.preflight import NEARLY_FULL, judge
from tokentail.supervisor.embedded_valkey import embedded_url

_REDIS_S = 0.6  # each try, as web processes have it
_START_OWN = "Start `tokentail up`, name its --data-dir, or set REDIS_URL"
_DEMO_S = 15.0
_DEMO = "demo?tokens=3&tps=0"
# What to do where the server answers 503, by the problem's type; any other is an outage of Redis.
_UNAVAILABLE = {
    "not-replicated": "Start replicas of Redis, or set TOKENTAIL_SUBMIT_WAIT_MS=0",
    "nothing-served": "Start a worker: tokentail worker",
    "server-stopping": "Wait until the web server has started again",
    "store-full": "Raise the maxmemory of Redis, or lower TOKENTAIL_RETENTION_S",
    "unreadable": "Find the other program that writes to this Redis (docs/operations.md)",
}
_SIGNS = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}


@dataclass(frozen=True)
class Finding:
    """What was found of one part."""

    part: str
    outcome: Literal["ok", "warning", "failed"]
    detail: str
    do: str = ""  # what to do, where something is wrong


@click.command()
@click.option("--data-dir", help="Where `tokentail up` keeps its data (TOKENTAIL_DATA_DIR; ./data).")
@click.option(
    "--providers/--no-providers",
    "tries_providers",
    default=True,
    show_default=True,
    help="Ask each provider for a few tokens (which it bills).",
)
@as_json
@server_options
def doctor(data_dir: str | None, as_json: bool, url: str, api_key: str | None, *, tries_providers: bool) -> int:
    """Look at everything: settings, Redis, web server, workers, a demo job, providers. Says what to do.

    \b
    It ends with 0 if all is well, 1 if something failed, 2 if the settings are at fault.
    Example: tokentail doctor --no-providers
    """
    environment = dict(os.environ) | ({"TOKENTAIL_DATA_DIR": data_dir} if data_dir else {})
    settings, faults, warnings = read_settings(environment)
    if settings and click.get_current_context().get_parameter_source("url") is ParameterSource.DEFAULT:
        url, api_key = _own_server(settings, url, api_key)
    findings: list[Finding] = []
    for finding in _findings(settings, faults, warnings, environment, url, api_key, tries_providers=tries_providers):
        findings.append(finding)
        if not as_json:
            click.echo(f"{_SIGNS[finding.outcome]}  {finding.part:10}  {finding.detail}")
            if finding.do:
                click.echo(f"{'':7}  {'':10}  → {finding.do}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    if faults:
        return ExitCode.USAGE
    return ExitCode.FAILED if any(finding.outcome == "failed" for finding in findings) else ExitCode.OK


def _own_server(settings: Settings, url: str, api_key: str | None) -> tuple[str, str | None]:
    """The address and a key of the server that has these settings; those given, where the settings do not say."""
    if settings.port:  # 0 is any free port
        url = Address(settings.host, settings.port).url
    return url, api_key or next(iter(settings.api_keys), None)


def _findings(
    settings: Settings | None,
    faults: list[str],
    warnings: list[str],
    environment: Mapping[str, str],
    url: str,
    api_key: str | None,
    *,
    tries_providers: bool,
) -> Iterator[Finding]:
    for fault in faults:
        yield Finding("settings", "failed", fault, "Correct it; `tokentail check` lists all settings")
    for warning in warnings:
        yield Finding("settings", "warning", warning)
    if settings is None:
        return  # nothing else would be looked at where it is
    if not faults:
        yield Finding("settings", "ok", "they can work; `tokentail check` lists them")
    yield from _redis(settings)
    with connect(url, api_key) as client:
        yield from _server(client, url)
    if tries_providers and not faults:
        yield from _providers()


def _redis(settings: Settings) -> Iterator[Finding]:
    own = embedded_url(Path(settings.data_dir))
    for use in uses_of(settings):
        with connect_redis(use.url or own, timeout_s=_REDIS_S, setting=use.setting) as client:
            try:
                verdict = judge(client, use)
                for fault in verdict.faults:
                    yield Finding("redis", "failed", fault)
                if verdict.faults:
                    continue
                for warning in verdict.warnings + verdict.notes:
                    yield Finding("redis", "warning", warning)
                with redis_errors():
                    began = time.monotonic()
                    ask_each(client, lambda server: server.ping())  # the verdict has named the silent ones
                    ms = (time.monotonic() - began) * 1000
                    memory, most = memory_of(client)
                    address = address_of(client)
            except StoreUnavailable as error:
                start = f"Start Redis, or correct {use.setting}" if use.url else _START_OWN
                yield Finding(
                    "redis", "failed", f"{address_of(client)}: {error.reason or error}", error.remedy or start
                )
                continue
        used = f"{memory / 1e6:.1f} MB used" + (f" of {most / 1e6:.0f} MB" if most else "")
        if most and memory > NEARLY_FULL * most:
            remedy = "Raise its maxmemory, or lower TOKENTAIL_RETENTION_S; `tokentail store` shows what fills it"
            yield Finding("redis", "warning", f"{address}: {used}", remedy)
        else:
            yield Finding("redis", "ok", f"{address} answers in {ms:.1f} ms, {used}")


def _server(client: Client, url: str) -> Iterator[Finding]:
    try:
        overview = client.overview()
    except (ServerUnreachable, ApiError) as error:
        yield Finding("web", "failed", f"{url}: {error}", _remedy(error))
        return
    yield Finding("web", "ok", f"{url} answers")
    workers = overview.get("workers", [])
    served = sorted({model for worker in workers for model in worker["models"]})
    if workers:
        yield Finding("workers", "ok", f"{len(workers)} with {overview['slots']} slots, serving {', '.join(served)}")
    for reason in overview.get("reasons", []):
        outcome: Literal["warning", "failed"] = "failed" if reason["state"] == "no workers" else "warning"
        yield Finding("state", outcome, reason["what"], reason["do"])
    if workers:
        yield _demo(client)


def _demo(client: Client) -> Finding:
    """A job through web server, queue and worker and back, which is erased afterwards."""
    began = time.monotonic()
    try:
        job = client.submit("Are you well?", model=_DEMO)
    except TokentailError as error:
        if isinstance(error, ApiError) and error.status in {403, 429}:  # the rules of the key, and no fault
            return Finding("demo job", "warning", f"not tried: {error.detail or error}", _permission(error))
        return Finding("demo job", "failed", f"it was not accepted: {error}", _remedy(error))
    status = job.status
    try:
        for update in client.follow(job.id, transport="short", patience_s=_DEMO_S):
            status = update.status
            if update.is_done or time.monotonic() - began > _DEMO_S:
                break
        client.delete(job.id)
    except TokentailError as error:
        return Finding("demo job", "failed", f"{job.id}: {error}", _remedy(error))
    took_s = time.monotonic() - began
    if status is Status.COMPLETED:
        return Finding("demo job", "ok", f"went through web, queue and worker in {took_s:.2f} s")
    detail = f"it was {status} after {took_s:.0f} s"
    return Finding("demo job", "failed", detail, "Look for its id in the log of the workers (docs/troubleshooting.md)")


def _permission(refusal: ApiError) -> str:
    """What to do about a key that may not submit the demo job, or not now."""
    match str(refusal.problem.get("type")).rpartition(":")[2]:
        case "model-forbidden":
            return "Use a key that may use the model demo, or allow it: tokentail keys set NAME --models '…,demo'"
        case "too-many-jobs":
            return "Try again when jobs have ended (`tokentail list` shows them), or raise the limit (docs/keys.md)"
        case "limit-reached":
            return "Try again then, or raise the limit of the key: tokentail keys set NAME (docs/keys.md)"
    return "Use a client's key" if refusal.status == 403 else "Try again later"


def _providers() -> Iterator[Finding]:
    _, reports = try_providers()
    for report in reports:
        asked = report["model"] or report["name"]
        if report["is_ok"]:
            yield Finding("provider", "ok", f"{asked} answered in {report['ms']} ms")
        else:
            yield Finding("provider", "failed", f"{asked}: {report['detail']}", "See docs/troubleshooting.md")
    if not reports:
        yield Finding("provider", "ok", "none is configured; demo and local need none")


def _remedy(error: Exception) -> str:
    if isinstance(error, ApiError) and error.status in {401, 403}:
        return "Put a key of this server into TOKENTAIL_API_KEY"
    if isinstance(error, ApiError) and error.status == 503:
        kind = str(error.problem.get("type")).rpartition(":")[2]
        return _UNAVAILABLE.get(kind, "Mend Redis first: the web server runs, and cannot use it")
    if isinstance(error, ServerUnreachable):
        return "Start it with `tokentail up` or `tokentail web`, or give its address: --url"
    return "Read the log of the web server"
