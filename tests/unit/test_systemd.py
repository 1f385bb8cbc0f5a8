"""deploy/systemd/: the units, the settings in them and the store's configuration are what the processes need."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.valkey_server import ValkeyServer
from tokentail.config.settings import Settings, load_settings
from tokentail.supervisor.programs import stop_within_s

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
PAGE = Path(__file__).parents[2] / "docs" / "systemd.md"
UNITS = ("tokentail-web.service", "tokentail-worker.service")
_LINE = re.compile(r"^([A-Za-z]+)=(.*)$", re.MULTILINE)


def directives(unit: str) -> dict[str, list[str]]:
    """The values of each directive of a unit, in order."""
    found: dict[str, list[str]] = {}
    for name, value in _LINE.findall((FOLDER / unit).read_text()):
        found.setdefault(name, []).append(value)
    return found


def variables(file: str, *, with_examples: bool = False) -> dict[str, str]:
    """The variables that an environment file sets; with those that it shows in comments, if asked."""
    start = "#?" if with_examples else ""
    return dict(re.findall(rf"^{start}([A-Z_]+)=(.*)$", (FOLDER / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize("unit", UNITS)
def test_a_stop_reaches_the_command_alone_and_leaves_it_its_grace(unit: str) -> None:
    """With another KillMode each process would get a second SIGTERM, which ends the grace of running jobs."""
    found = directives(unit)
    assert found["KillMode"] == ["mixed"]
    settings = load_settings(variables("tokentail.env"))
    assert int(found["TimeoutStopSec"][0]) > stop_within_s(settings)


@pytest.mark.parametrize("unit", UNITS)
def test_a_process_that_dies_is_started_again_but_not_on_invalid_settings(unit: str) -> None:
    """2 is the exit code of wrong settings."""
    found = directives(unit)
    assert found["Restart"] == ["always"]
    assert found["RestartPreventExitStatus"] == ["2"]


def test_the_web_process_may_open_as_many_files_as_it_takes_connections() -> None:
    """Below that the process would lower its own limit of connections."""
    assert int(directives(UNITS[0])["LimitNOFILE"][0]) > Settings().max_connections + 128


def test_only_workers_get_keys_of_providers() -> None:
    """A web process never calls a provider, so that it has nothing to lose."""
    assert directives(UNITS[0])["EnvironmentFile"] == ["/etc/tokentail/tokentail.env"]
    assert directives(UNITS[1])["EnvironmentFile"] == ["/etc/tokentail/tokentail.env", "/etc/tokentail/providers.env"]
    assert not [name for name in variables("tokentail.env", with_examples=True) if name.endswith("_API_KEY")]


def test_the_settings_in_the_files_are_settings_and_valid() -> None:
    """A misspelt variable would be ignored."""
    known = {each.metadata["name"] for each in fields(Settings)}
    shown = variables("tokentail.env", with_examples=True) | variables("providers.env", with_examples=True)
    assert set(shown) <= known
    load_settings(variables("tokentail.env"))


def test_the_configuration_of_the_store_is_in_force() -> None:
    """A real Valkey reads the file: nothing is evicted, everything is on disk within a second."""
    with ValkeyServer("--include", str(FOLDER / "redis.conf"), "--bind", "127.0.0.1") as server:
        client = server.connect()
        in_force = {name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory")}
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.close()
    assert in_force == {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory": str(1 << 30)}
    assert policy == "noeviction"


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(unit: str, tmp_path: Path) -> None:
    """systemd-analyze finds no fault. The command is that of this environment, because its file has to exist."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing: install systemd")
    command = str(Path(sys.executable).parent / "tokentail")
    (tmp_path / unit).write_text((FOLDER / unit).read_text().replace("/opt/tokentail/bin/tokentail", command))
    ran = subprocess.run([analyze, "verify", str(tmp_path / unit)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_page_installs_each_file() -> None:
    """docs/systemd.md copies all files of the folder."""
    installed = set(
        re.findall(r"deploy/systemd/([\w.-]+)", "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)))
    )
    assert installed == {path.name for path in FOLDER.iterdir()}


def test_the_commands_of_the_page_configure_a_deployment(tmp_path: Path) -> None:
    """Run in another root and without systemctl, they leave settings that are valid, with a key of their own."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text().partition("## 2. ")[2].partition("## 3. ")[0], re.S)
    script = "".join(line for line in "".join(blocks).splitlines(keepends=True) if not line.startswith("systemctl "))
    for folder in ("etc/systemd/system", "etc/redis"):
        (tmp_path / folder).mkdir(parents=True)
    script = script.replace("/etc/", f"{tmp_path}/etc/").replace(
        "/opt/tokentail/bin/", f"{Path(sys.executable).parent}/"
    )
    environment = {"PATH": os.environ["PATH"]}
    root = FOLDER.parents[1]
    with ValkeyServer(is_durable=True) as server:  # in the place of the one that systemctl would have restarted
        check = f"{Path(sys.executable).parent}/tokentail check"
        assert check in script
        script = script.replace(check, f"REDIS_URL={server.url} {check}")
        argv = ["bash", "-euo", "pipefail", "-c", script]
        ran = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, "the check warned of nothing"
    settings = (tmp_path / "etc/tokentail/tokentail.env").read_text()
    assert re.search(r"^TOKENTAIL_API_KEYS=[0-9a-f]{48}$", settings, re.MULTILINE)
    assert (tmp_path / "etc/tokentail/tokentail.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "etc/redis/redis.conf").read_text() == f"include {tmp_path}/etc/tokentail/redis.conf\n"


def test_the_page_installs_with_what_it_names() -> None:
    """A program that a command of the page calls is in its apt line, or comes with every Debian."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S))
    installed = re.findall(r"^apt-get install ([^#\n]*)", blocks, re.MULTILINE)[0].split()
    for program, package in {"openssl": "openssl", "curl": "curl", "-m venv": "python3-venv"}.items():
        assert program in blocks
        assert package in installed
    for program in ("make", "git", "npm"):
        assert not re.search(rf"^{program} ", blocks, re.MULTILINE)
