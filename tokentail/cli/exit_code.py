"""Exit codes: what a script may conclude. One table from errors to codes."""

from enum import IntEnum

import click

from tokentail.client.responses import ApiError, ServerUnreachable
from tokentail.errors import LibraryChanged, SettingsError, StoreUnavailable, TokentailError
from tokentail.supervisor.service import NotStarted


class ExitCode(IntEnum):
    """The command line's help on each code."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    INTERRUPTED = 130


def exit_code_of(error: Exception) -> int | None:
    """The code for an error that is to be expected; None for a defect of this program."""
    match error:
        case click.ClickException():
            return error.exit_code
        case NotStarted():
            return error.exit_code
        case ApiError():
            return _of_status(error.status)
        case TokentailError():
            return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.FAILED)
    return None


_CODES = {
    SettingsError: ExitCode.USAGE,
    LibraryChanged: ExitCode.USAGE,
    ServerUnreachable: ExitCode.UNREACHABLE,
    StoreUnavailable: ExitCode.UNREACHABLE,
}


def _of_status(status: int) -> ExitCode:
    if status in {404, 410}:
        return ExitCode.NOT_FOUND
    return ExitCode.UNREACHABLE if status == 429 or status >= 500 else ExitCode.USAGE
