"""The engine: what the program `docker` reaches, and its Compose."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

_WITHIN_S = 300.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


class CommandFailed(Exception):
    """A command ended with another exit code than 0. Its message has the command and what it printed."""


def run(
    argv: Sequence[str], environment: Mapping[str, str] = _NOTHING, *, within_s: float = _WITHIN_S, stdin: str = ""
) -> str:
    """Run a command to its end, with more variables in its environment; what it printed. Raises CommandFailed."""
    try:
        ended = subprocess.run(
            argv,
            env={**os.environ, **environment},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailed(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(argv)} took longer than {within_s:g} s: {error.output!r}") from None
    if ended.returncode:
        raise CommandFailed(f"{' '.join(argv)} ended with {ended.returncode}:\n{ended.stdout.strip()}")
    return ended.stdout


def docker(*arguments: str, stdin: str = "", within_s: float = _WITHIN_S) -> str:
    """Run one command of Docker; what it printed. Raises CommandFailed."""
    # BuildKit, also where an older Docker would build without it: deploy/Dockerfile mounts a secret.
    return run(["docker", *arguments], {"DOCKER_BUILDKIT": "1"}, stdin=stdin, within_s=within_s)


def missing() -> str:
    """What this machine lacks to run Compose projects, in a sentence; empty when nothing is missing."""
    try:
        docker("compose", "version", within_s=20)
        docker("info", within_s=20)
    except CommandFailed as error:
        return str(error).splitlines()[-1]
    return ""


def build(tag: str, *options: str) -> None:
    """Build the product's image from this checkout."""
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        options = (*options, "--secret", f"id=certificates,src={certificates}")
    began = time.monotonic()
    docker("build", *options, "--file", "deploy/Dockerfile", "--tag", tag, ".", within_s=900)
    print(f"The image was built in {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)


def build_anew(tag: str) -> None:
    """Give the tag to another image with the same content, as an update would."""
    docker("build", "--tag", tag, "-", stdin=f"FROM {tag}\nLABEL built_at={time.time()}\n")


def kill_process(pid: int, helper: str) -> None:
    """SIGKILL to a process of the engine's machine, which Docker then finds dead; `docker kill` would be a stop."""
    call = f"import os; os.kill({pid}, 9)"
    docker(
        *("run", "--rm", "--pid=host", "--network=none", "--user=0"),
        *("--entrypoint=python", helper, "-c", call),
    )
