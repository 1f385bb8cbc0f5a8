"""The connection of a command to its server: the options that name it, and the client that they make."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tokentail.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

FIRST_CONTACT_S = 3.0  # a server that does not answer is reported at once
PATIENCE_S = 120.0  # one that was there may come back

_url = click.option(
    "--url",
    envvar="TOKENTAIL_URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    show_envvar=True,
    help="The server. Its API key, if it wants one, is read from TOKENTAIL_API_KEY.",
)
# A key on a command line would be seen by everybody on the machine, so it has no option.
_key = click.option("api_key", "--api-key", envvar="TOKENTAIL_API_KEY", hidden=True)
as_json = click.option("as_json", "--json", is_flag=True, help="Print JSON, for programs.")


def server_options(command: Command) -> Command:
    """Give a command the options `url` and `api_key`."""
    return _url(_key(command))


def connect(url: str, api_key: str | None) -> Client:
    """A client for the options. Raises click.UsageError."""
    if not url.startswith(("http://", "https://")):
        raise click.UsageError("--url (TOKENTAIL_URL): must begin with http:// or https://")
    try:
        return Client(url, api_key, patience_s=FIRST_CONTACT_S)
    except ValueError as error:
        raise click.UsageError(f"TOKENTAIL_API_KEY: {error}") from None
