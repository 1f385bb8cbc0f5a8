"""The distribution `tokentail` without `tokentail-server`: a program's client, and the commands that need no server."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import tokentail
from tests.acceptance.running import Up, environment
from tests.wheel import name_of

_ASK = """
import sys
from tokentail.client import Client
with Client(sys.argv[1]) as client:
    job = client.submit("Why is the sky blue?", max_tokens=20)
    text = ""
    for update in client.follow(job.id):
        text = update.applied_to(text)
    assert text and text == client.text(job.id)
"""


def needed_by(distribution: str) -> set[str]:
    """The names of all distributions that pip installs with this one, when no extra is asked for."""
    needed = {name_of(each) for each in metadata.requires(distribution) or () if "extra ==" not in each}
    return needed.union(*map(needed_by, needed))


class Alone:
    """A folder with nothing but the package `tokentail` and some distributions, and the Python that sees only these."""

    def __init__(self, folder: Path, distributions: set[str]) -> None:
        self._folder = folder
        (folder / "tokentail").symlink_to(tokentail.__path__[0])
        for name in distributions:
            files = metadata.files(name) or []
            for top in {file.parts[0] for file in files} - {".."}:
                (folder / top).symlink_to(str(metadata.distribution(name).locate_file(top)))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run this Python to its end."""
        # -S: without the site-packages of the tests.
        argv = [sys.executable, "-S", "-P", *arguments]
        settings = environment(PYTHONPATH=str(self._folder), PYTHONDONTWRITEBYTECODE="1")
        return subprocess.run(argv, env=settings, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def client_alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path, needed_by("tokentail"))


@pytest.fixture
def with_commands(tmp_path: Path) -> Alone:
    return Alone(tmp_path, {*needed_by("tokentail"), "click"})


def test_the_client_needs_at_most_six_distributions() -> None:
    """A program that reads answers gets no library of the server."""
    assert needed_by("tokentail") >= {"msgspec", "requests", "urllib3"}
    assert len(needed_by("tokentail")) <= 6
    assert not needed_by("tokentail") & {"click", "flask", "gevent", "redis", "rq", "tokentail-server"}
    assert "tokentail" in map(name_of, metadata.requires("tokentail-server") or ())


def test_the_client_works_with_nothing_else_installed(client_alone: Alone, shared_up: Up) -> None:
    """A program submits a prompt and follows the answer to its end."""
    ended = client_alone.run("-c", _ASK, shared_up.url)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_client_brings_no_top_level_package_of_the_server(client_alone: Alone) -> None:
    """A program may have packages of its own that are named app and worker."""
    ended = client_alone.run("-c", "from importlib.util import find_spec as f; print(f('app'), f('worker'))")
    assert ended.stdout == "None None\n"


@pytest.mark.parametrize("command", ["ask", "tail", "status", "cancel", "up", "--help", "--version"])
def test_without_click_the_command_line_is_one_sentence(client_alone: Alone, command: str) -> None:
    """The sentence names the extra that brings click; the exit code is that of wrong usage."""
    ended = client_alone.run("-m", "tokentail", command)
    [sentence] = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence.startswith("tokentail: ")
    assert "pip install 'tokentail[cli]'" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["up"],
        ["up", "--port", "0"],
        ["web"],
        ["web", "--processes", "2"],
        ["worker"],
        ["worker", "--processes", "2"],
        ["check"],
        ["check", "--json"],
    ],
    ids=" ".join,
)
def test_a_command_of_the_server_names_the_distribution_to_install(with_commands: Alone, arguments: list[str]) -> None:
    """One sentence, and the exit code of wrong usage, whatever the options are."""
    ended = with_commands.run("-m", "tokentail", *arguments)
    [sentence] = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence.startswith("tokentail: tokentail-server is not installed")
    assert f"pip install 'tokentail-server=={tokentail.__version__}'" in sentence


def test_help_works_without_the_server(with_commands: Alone) -> None:
    """The list of commands says which ones are not available."""
    ended = with_commands.run("-m", "tokentail", "--help")
    assert ended.returncode == 0
    commands = {line.split()[0] for line in ended.stdout.splitlines() if "Not available: tokentail-server" in line}
    assert commands == {"up", "web", "worker", "check", "store", "doctor", "keys"}


def test_ask_works_without_the_server(with_commands: Alone, shared_up: Up) -> None:
    """The command line of another machine needs click and the client only."""
    ended = with_commands.run("-m", "tokentail", "ask", "Why is the sky blue?", "--url", shared_up.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_a_server_of_another_version_is_refused(with_commands: Alone, tmp_path: Path) -> None:
    """pip can upgrade one of two distributions and leave the other: their versions must be equal."""
    folder = tmp_path / "tokentail_server-99.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: tokentail-server\nVersion: 99.0\n")
    ended = with_commands.run("-m", "tokentail", "up")
    [sentence] = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert "tokentail-server 99.0 does not work with tokentail" in sentence
    assert f"pip install 'tokentail-server=={tokentail.__version__}'" in sentence


def test_a_library_that_is_not_installed_is_one_sentence(with_commands: Alone, tmp_path: Path) -> None:
    """The distribution is there, as after `pip install --no-deps`; each sentence names a library to install."""
    folder = tmp_path / "tokentail_server.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(metadata.distribution("tokentail-server").read_text("METADATA") or "")
    ended = with_commands.run("-m", "tokentail", "up")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) > 1
    for sentence in ended.stderr.splitlines():
        assert re.fullmatch(r"tokentail: (\w+), which .*, is not installed; .*: pip install '\1.*'", sentence), sentence


def test_the_server_for_tests_names_the_extra_to_install(client_alone: Alone) -> None:
    """`tokentail.testing` runs the app and the worker, so the server's distribution has its extra."""
    ended = client_alone.run("-c", "import tokentail.testing")
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("ImportError: tokentail.testing needs ")
    assert "pip install 'tokentail-server[testing]'" in last
