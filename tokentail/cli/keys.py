"""`keys`: named API keys, in the keys file that web processes read."""

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tokentail.cli.connection import as_json
from tokentail.config.key_file import KeyEntry
from tokentail.config.key_file_editor import KeyFileEditor
from tokentail.jobs.api_key import Role

Command = TypeVar("Command", bound=Callable[..., Any])

_SHOWN = 12  # letters of a digest
_file: Callable[[Command], Command] = click.option(
    "path",
    "--file",
    envvar="TOKENTAIL_KEYS_FILE",
    default="keys.toml",
    show_default=True,
    show_envvar=True,
    help="The keys file.",
)


@click.group()
def keys() -> None:
    """Add, list and revoke named API keys, in the file that TOKENTAIL_KEYS_FILE names.

    Web processes read the file again within a second when it has changed.

    \b
    Example: tokentail keys add web --models 'local,openai/*' --requests-per-minute 60
    """


@keys.command()
@click.argument("name", metavar="NAME")
@click.option("--role", type=click.Choice([str(role) for role in Role]), help="What the key is for (client).")
@click.option("--models", help="Models that it may use, comma-separated; one that ends in * is a beginning.")
@click.option("--jobs", type=click.IntRange(min=1), help="Jobs queued or running at once.")
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Submissions in any 60 seconds.")
@click.option("--tokens-per-day", type=click.IntRange(min=1), help="Tokens of input and output, by UTC.")
@_file
def add(
    name: str,
    role: str | None,
    models: str | None,
    jobs: int | None,
    requests_per_minute: int | None,
    tokens_per_day: int | None,
    path: str,
) -> None:
    """Make a key for NAME and print it, once. Keys that NAME has already go on to count.

    \b
    Example: tokentail keys add on-call --role operator
    """
    limits = {"jobs": jobs, "requests_per_minute": requests_per_minute, "tokens_per_day": tokens_per_day}
    given: dict[str, Any] = {"role": role, **limits}
    if models is not None:
        given["models"] = [model.strip() for model in models.split(",") if model.strip()]
    options = {option: value for option, value in given.items() if value is not None}
    click.echo(KeyFileEditor(path).add(name, options))
    click.echo(f"This is the key of {name}; it is shown only now. Its digest is in {path}.", err=True)
    if os.environ.get("TOKENTAIL_KEYS_FILE") != path:
        click.echo(f"Web processes read that file with: TOKENTAIL_KEYS_FILE={path}", err=True)


@keys.command("list")
@as_json
@_file
def list_keys(path: str, *, as_json: bool) -> None:
    """Print names, roles, the beginnings of digests, and limits.

    \b
    Example: tokentail keys list
    """
    entries = KeyFileEditor(path).read().entries
    if as_json:
        click.echo(json.dumps([{"name": name, **_facts(entry)} for name, entry in entries.items()]))
        return
    width = max((len(name) for name in entries), default=0)
    for name, entry in entries.items():
        facts = {key: value for key, value in _facts(entry).items() if value is not None}
        shown = (f"{key}={','.join(value) if isinstance(value, list) else value}" for key, value in facts.items())
        click.echo(f"{name:{width}}  {'  '.join(shown)}")
    if not entries:
        click.echo(f"{path} has no keys; make one with: tokentail keys add NAME", err=True)


@keys.command()
@click.argument("name", metavar="NAME")
@click.option("--digest", default="", help="Only the key whose digest begins like this; see tokentail keys list.")
@_file
def revoke(name: str, digest: str, path: str) -> None:
    """Refuse the keys of NAME from now on, with their sessions and share links. Its jobs stay.

    \b
    Example: tokentail keys revoke web --digest 9f86d081
    """
    KeyFileEditor(path).revoke(name, digest)
    click.echo(f"revoked: {f'a key of {name}' if digest else name}")


def _facts(entry: KeyEntry) -> dict[str, Any]:
    return {
        "role": str(entry.role),
        "digests": [digest[:_SHOWN] for digest in entry.sha256],
        "models": entry.models or None,
        "jobs": entry.jobs,
        "requests_per_minute": entry.requests_per_minute,
        "tokens_per_day": entry.tokens_per_day,
    }
