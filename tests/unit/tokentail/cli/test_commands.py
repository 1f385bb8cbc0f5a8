"""The command line without a command."""

import sys

import click
import pytest

from tokentail.cli import main, tokentail


def test_without_a_command_the_help_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the version of click: the same text as with --help, on stdout, and no error."""
    printed = []
    for arguments in ([], ["--help"]):
        monkeypatch.setattr(sys, "argv", ["tokentail", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        out, err = capsys.readouterr()
        assert err == ""
        printed.append(out)
    assert printed[0].startswith("Usage: tokentail ")
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", tokentail.list_commands(click.Context(tokentail)))
def test_each_command_s_help_has_an_example(name: str) -> None:
    """The example is a command line that can be copied."""
    command = tokentail.get_command(click.Context(tokentail), name)
    assert command is not None
    if isinstance(command, click.Group):
        return  # its own commands have them
    assert f"tokentail {name}" in (command.help or "")
