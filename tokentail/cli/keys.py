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


class _Limit(click.IntRange):
    """A limit, of 1 or more; the word `none` is 0, which takes the limit away."""

    name = "limit"

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return 0 if value == "none" else super().convert(value, param, ctx)


def _limits(command: Command) -> Command:
    """Give a command the options that say what a key may do."""
    options = (
        click.option("--role", type=click.Choice([str(role) for role in Role]), help="What the key is for (client)."),
        click.option("--models", help="Models that it may use, comma-separated: local, or openai/* for all of openai."),
        click.option("--jobs", type=_Limit(), help="Jobs queued or running at once."),
        click.option("--user-jobs", type=_Limit(), help="Jobs queued or running at once, of each user."),
        click.option("--requests-per-minute", type=_Limit(), help="Submissions in any 60 seconds."),
        click.option("--tokens-per-day", type=_Limit(), help="Tokens of input and output, by UTC."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """Add, change, list and revoke named API keys, in the file that TOKENTAIL_KEYS_FILE names.

    Web processes read the file again within a second when it has changed.

    \b
    Example: tokentail keys add web --models 'local,openai/*' --requests-per-minute 60
    """


@keys.command()
@click.argument("name", metavar="NAME")
@_limits
@_file
def add(name: str, path: str, **given: Any) -> None:
    """Make a key for NAME and print it, once. Keys that NAME has already go on to count.

    \b
    Example: tokentail keys add on-call --role operator
    """
    click.echo(KeyFileEditor(path).add(name, _options(**given)))
    click.echo(f"This is the key of {name}; it is shown only now. Its digest is in {path}.", err=True)
    if os.environ.get("TOKENTAIL_KEYS_FILE") != path:
        click.echo(f"Web processes read that file with: TOKENTAIL_KEYS_FILE={path}", err=True)


@keys.command("set")
@click.argument("name", metavar="NAME")
@_limits
@_file
def set_limits(name: str, path: str, **given: Any) -> None:
    """Change what the keys of NAME may do, and make no key. An option that is not given changes nothing.

    The value none takes a limit away.

    \b
    Example: tokentail keys set web --jobs 5 --tokens-per-day none
    """
    options = _options(**given)
    if not options:
        raise click.UsageError("say what to change, for instance: --jobs 5, or --jobs none for no limit")
    editor = KeyFileEditor(path)
    editor.set(name, options)
    click.echo(f"{name}  {_described(editor.read().entries[name])}")


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
        click.echo(f"{name:{width}}  {_described(entry)}")
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


def _options(role: str | None, models: str | None, **limits: int | None) -> dict[str, Any]:
    """The entries of the keys file that the options change; None is an entry to be taken away."""
    options: dict[str, Any] = {limit: most or None for limit, most in limits.items() if most is not None}
    if role is not None:
        options["role"] = role
    if models is not None:
        options["models"] = [model.strip() for model in models.split(",")] if models != "none" else None
    return options


def _described(entry: KeyEntry) -> str:
    facts = {key: value for key, value in _facts(entry).items() if value is not None}
    return "  ".join(f"{key}={','.join(value) if isinstance(value, list) else value}" for key, value in facts.items())


def _facts(entry: KeyEntry) -> dict[str, Any]:
    return {
        "role": str(entry.role),
        "digests": [digest[:_SHOWN] for digest in entry.sha256],
        "models": entry.models or None,
        "jobs": entry.jobs,
        "user_jobs": entry.user_jobs,
        "requests_per_minute": entry.requests_per_minute,
        "tokens_per_day": entry.tokens_per_day,
    }
