"""`ask` and `tail`: a job's tokens, printed as they come."""

import json
import re
import sys
from collections.abc import Iterable

import click

from tokentail.cli.connection import PATIENCE_S, as_json, connect, server_options
from tokentail.cli.exit_code import ExitCode
from tokentail.cli.notes import Notes
from tokentail.client import ApiError, Client, ServerUnreachable, Update
from tokentail.jobs.job import Status

# A model's text must not steer the terminal: of the control characters only tab and line feed are shown as they are.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NOTES = {"length": "cut off at the token limit", "content_filter": "stopped by a content filter"}


@click.command()
@click.argument("prompt")
@click.option("--model", help="Which model; see /v1/models. Without it, the server's default.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="How long the answer may become.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="How adventurous the answer may become.")
@click.option("--no-wait", is_flag=True, help="Print the job's id and leave; `tokentail tail ID` reads the answer.")
@as_json
@server_options
def ask(
    prompt: str,
    model: str | None,
    max_tokens: int | None,
    temperature: float | None,
    no_wait: bool,
    as_json: bool,
    url: str,
    api_key: str | None,
) -> int:
    """Submit PROMPT (- reads it from stdin) and print the answer as it is made. Ctrl-C cancels the job.

    Example: tokentail ask --model demo "Why is the sky blue?"
    """
    if prompt == "-":
        prompt = sys.stdin.read()
    with connect(url, api_key) as client:
        job = client.submit(prompt, model=model, max_tokens=max_tokens, temperature=temperature)
        if no_wait:
            click.echo(json.dumps(job.body) if as_json else job.id)
            return ExitCode.OK
        try:
            return print_answer(client.follow(job.id, events=not as_json, patience_s=PATIENCE_S), as_json=as_json)
        except KeyboardInterrupt:
            _cancel(client, job.id)
            return ExitCode.INTERRUPTED
        except ServerUnreachable:
            click.echo(f"tokentail: the job goes on; read it later with: tokentail tail {job.id}", err=True)
            raise


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@server_options
def tail(job_id: str, as_json: bool, url: str, api_key: str | None) -> int:
    """Print a job's answer from its beginning, and go on as it is made. Ctrl-C leaves the job alone.

    Example: tokentail tail y4twkrxz7y3hv6dhtc198tee5t
    """
    with connect(url, api_key) as client:
        client.job(job_id)  # a server that does not answer is reported at once
        return print_answer(client.follow(job_id, events=not as_json, patience_s=PATIENCE_S), as_json=as_json)


def print_answer(updates: Iterable[Update], *, as_json: bool) -> int:
    """Print each update; the exit code that the last one asks for.

    What the answer holds besides its text is noted on stderr at its end: sources, media, tools, skipped content.
    """
    is_terminal = sys.stdout.isatty()
    notes = Notes()
    printed = ""
    holds_two = False  # of an answer that was started again, where nothing can be taken back
    last: Update | None = None
    for last in updates:
        if as_json:
            click.echo(json.dumps(last.body))
            continue
        if last.is_reset and printed:
            click.echo()
            click.secho("(started again)", dim=True, err=not is_terminal)
            printed = ""
            holds_two = not is_terminal
        if last.is_reset:
            notes.clear()
        notes.add(last.events)
        text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", last.text) if is_terminal else last.text
        if text:
            click.echo(text, nl=False, color=True)  # else click takes escape sequences out of what a program reads
            printed = text
    if printed and not printed.endswith("\n"):
        click.echo()
    for line in notes.lines():
        click.secho(f"({_CONTROL.sub(chr(0xFFFD), line)})", dim=is_terminal, err=True)
    code = _conclude(last, is_terminal=is_terminal and not as_json)
    if holds_two:
        click.echo("tokentail: the answer was started again; the output holds the broken one, too", err=True)
        return ExitCode.FAILED
    return code


def _conclude(last: Update | None, *, is_terminal: bool) -> int:
    if last is None or last.status is Status.COMPLETED:
        note = _NOTES.get(last.finish_reason or "") if last else None
        if note and is_terminal:
            click.secho(f"({note})", dim=True)
        return ExitCode.OK
    reason = (last.error or {}).get("message")
    said = f"the job {'was' if last.status is Status.CANCELLED else 'has'} {last.status}"
    click.echo(f"tokentail: {said}: {reason}" if reason else f"tokentail: {said}", err=True)
    return ExitCode.FAILED


def _cancel(client: Client, job_id: str) -> None:
    click.echo(err=True)
    try:
        client.cancel(job_id)
    except (ServerUnreachable, ApiError) as error:
        click.echo(f"tokentail: the job may go on: {error}", err=True)
    else:
        click.echo("tokentail: the job was cancelled", err=True)
