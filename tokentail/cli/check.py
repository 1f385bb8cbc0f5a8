"""`check`: the settings in force, and everything that is wrong with them."""

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import click

from tokentail.cli.connection import as_json
from tokentail.cli.exit_code import ExitCode
from tokentail.config.default_model import require_default_model
from tokentail.config.endpoints import provider_file_faults
from tokentail.config.key_ring import KeyRing
from tokentail.config.library_checks import require
from tokentail.config.library_parts import ALL
from tokentail.config.settings import Settings, load_settings
from tokentail.config.store_use import uses_of
from tokentail.errors import LibraryChanged, SettingsError
from tokentail.redis.preflight import judge_all

_CLIENT_VARIABLES = {"TOKENTAIL_URL", "TOKENTAIL_API_KEY"}
_REDIS_TIMEOUT_S = 5.0
_SHORT_KEY = 16  # letters; a shorter one can be guessed


@click.command()
@click.option(
    "--providers", "tries_providers", is_flag=True, help="Ask each provider for a few tokens (which it bills)."
)
@as_json
def check(tries_providers: bool, as_json: bool) -> int:
    """Print the settings in force, secrets hidden, and every fault at once. It connects to Redis, if REDIS_URL is set.

    Example: tokentail check --providers
    """
    if tries_providers:
        return _try_providers(as_json=as_json)
    settings, faults, warnings = read_settings(os.environ)
    if settings:
        store, silent = judge_all(uses_of(settings), _REDIS_TIMEOUT_S)
        faults += store.faults
        warnings += store.warnings + store.fullness + store.notes
        warnings += (f"Redis at {at} cannot be used yet, and is waited for: {error}" for at, error in silent.items())
    rows = list(settings.describe()) if settings else []
    if as_json:
        report = {"settings": {name: value for name, value, _ in rows}, "faults": faults, "warnings": warnings}
        click.echo(json.dumps(report))
    else:
        _print_rows(rows)
        for fault in faults:
            click.echo(f"tokentail: {fault}", err=True)
        for warning in warnings:
            click.echo(f"tokentail: warning: {warning}", err=True)
        verdict = _verdict(len(faults), len(warnings))
        click.echo(f"tokentail: {verdict}" if faults else f"\n{verdict}", err=bool(faults))
    return ExitCode.USAGE if faults else ExitCode.OK


def _verdict(faults: int, warnings: int) -> str:
    found = [f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((faults, "fault"), (warnings, "warning")) if n]
    if faults:
        return f"{' and '.join(found)}: nothing starts before the faults are corrected"
    return f"These settings can work{f'; {found[0]}' if found else ''}"


def read_settings(environment: Mapping[str, str]) -> tuple[Settings | None, list[str], list[str]]:
    """The settings, if they can be read; every fault, of the files and the libraries as well; and every warning."""
    settings, faults = None, []
    try:
        settings = load_settings(environment)
        require_default_model(settings, environment)
        KeyRing(settings)  # reads the keys file
    except SettingsError as error:
        faults = list(error.faults)
        if settings is None:  # else the file was read as well
            faults += provider_file_faults(environment.get("TOKENTAIL_PROVIDERS", "").strip(), environment)
    try:
        require(ALL)
    except LibraryChanged as error:
        faults = [*faults, *str(error).splitlines()]
    warnings = [*_unknown_variables(environment), *(_short_keys(settings) if settings else ())]
    return settings, faults, warnings


def _try_providers(*, as_json: bool) -> int:
    code, reports = try_providers()
    for report in reports:
        outcome = "ok" if report["is_ok"] else "failed"
        asked = report["model"] or report["name"]
        human = f"{asked}  {report['dialect']}  {outcome} in {report['ms']} ms: {report['detail']}"
        click.echo(json.dumps(report) if as_json else human)
    if not reports and code is ExitCode.OK:
        click.echo("tokentail: no provider is configured (docs/providers.md); demo and local need none", err=True)
    return code


def try_providers() -> tuple[ExitCode, list[dict[str, Any]]]:
    """Have the worker's own code call each provider, because this process cannot; a report on each."""
    tried = subprocess.run([sys.executable, "-P", "-m", "worker.provider_check"], stdout=subprocess.PIPE, check=False)
    codes = {0: ExitCode.OK, 2: ExitCode.USAGE}
    return codes.get(tried.returncode, ExitCode.FAILED), list(map(json.loads, tried.stdout.decode().splitlines()))


def _print_rows(rows: list[tuple[str, str, str]]) -> None:
    name_width = max((len(name) for name, _, _ in rows), default=0)
    value_width = min(max((len(value) for _, value, _ in rows), default=0), 40)
    for name, value, meaning in rows:
        click.echo(f"{name:{name_width}}  {value or '-':{value_width}}  {meaning}")


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = {f.metadata["name"] for f in fields(Settings)} | _CLIENT_VARIABLES
    for name in sorted(environment):
        if name.startswith("TOKENTAIL_") and name not in known:
            meant = difflib.get_close_matches(name, known, n=1)
            yield f"{name} is not a setting" + (f"; did you mean {meant[0]}?" if meant else "")


def _short_keys(settings: Settings) -> Iterator[str]:
    for place, key in enumerate(settings.api_keys, start=1):
        if len(key) < _SHORT_KEY:
            yield f"TOKENTAIL_API_KEYS: key {place} has fewer than {_SHORT_KEY} characters"
