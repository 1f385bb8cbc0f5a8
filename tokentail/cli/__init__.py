"""The command line. Each command is in the file of its noun, and is imported when it is called for."""

import importlib
import io
import logging
import os
import sys

import click

from tokentail.cli.exit_code import ExitCode, exit_code_of
from tokentail.client.responses import ApiError, ForeignResponse, ServerUnreachable
from tokentail.config.server_distribution import server_fault

_COMMANDS = {
    "up": "tokentail.cli.servers",
    "web": "tokentail.cli.servers",
    "worker": "tokentail.cli.servers",
    "check": "tokentail.cli.check",
    "store": "tokentail.cli.store",
    "ask": "tokentail.cli.answers",
    "tail": "tokentail.cli.answers",
    "status": "tokentail.cli.jobs",
    "cancel": "tokentail.cli.jobs",
    "delete": "tokentail.cli.jobs",
    "share": "tokentail.cli.jobs",
    "list": "tokentail.cli.lists",
    "models": "tokentail.cli.lists",
    "doctor": "tokentail.cli.doctor",
    "keys": "tokentail.cli.keys",
}
_FUNCTIONS = {"list": "list_jobs"}  # where the command's name is one of Python's own
_OF_THE_SERVER = {"up", "web", "worker", "check", "store", "doctor", "keys"}


class _Commands(click.Group):
    """Imports a command's file when the command is called: `ask` needs no server's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _OF_THE_SERVER and (fault := server_fault()):
            return _refusing(cmd_name, fault)
        command: click.Command = getattr(
            importlib.import_module(_COMMANDS[cmd_name]), _FUNCTIONS.get(cmd_name, cmd_name)
        )
        return command


def _refusing(name: str, fault: str) -> click.Command:
    """A command that cannot run in this installation: whatever its arguments are, it reports the fault."""

    def refuse(arguments: tuple[str, ...]) -> None:
        raise click.UsageError(fault)

    takes_all = {"ignore_unknown_options": True}
    argument = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(name, takes_all, refuse, [argument], help=f"Not available: {fault}")


@click.group(cls=_Commands)
@click.version_option(package_name="tokentail")
def tokentail() -> None:
    """Durable LLM streaming over plain HTTP polling.

    Start everything with `tokentail up`, then ask from another terminal.

    \b
    Exit codes:
      0    all went well
      1    the job failed or was cancelled; a server could not start
      2    wrong usage or settings
      3    the server cannot be reached, or cannot serve now
      4    there is no such job, or its content is gone
      130  interrupted by Ctrl-C
    """


def main() -> None:
    """Run the command line; an error that is to be expected is one line on stderr and an exit code."""
    logging.getLogger("tokentail").addHandler(logging.NullHandler())  # or Python prints warnings without their facts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows another
    try:
        result = tokentail.main(sys.argv[1:] or ["--help"], prog_name="tokentail", standalone_mode=False)
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The program that read our output has ended; the interpreter must not try to flush it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        for line in _message(error).splitlines():
            click.echo(f"tokentail: {line}", err=True)
        sys.exit(code)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def _message(error: Exception) -> str:
    if isinstance(error, ServerUnreachable):
        return f"{error}; is it running? start one with: tokentail up. Another address: --url or TOKENTAIL_URL"
    if isinstance(error, ApiError) and not isinstance(error, ForeignResponse) and error.status == 401:
        return f"{error} This command reads its key from TOKENTAIL_API_KEY."
    return error.format_message() if isinstance(error, click.ClickException) else str(error)
