"""The one place that catches errors."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from benchbench import variables
from benchbench.cli.main import complain, make_app
from benchbench.errors import SpecError, TrackingError
from benchbench.plugin.unknown_name import no_such_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_full_disk_is_one_line_wherever_it_is_noticed() -> None:
    app = make_app()

    @app.command("fill")
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/benchbench/counter")  # noqa: S108 - in a message

    done = CliRunner().invoke(app, ["fill"])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: /tmp/benchbench/counter cannot be written: No space left on device\n")


def test_control_characters_in_a_message_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain(SpecError("no class \x1b]52;c;AAAA\x07 here\x9b2J", hint="line 1\nline\t2"))
    assert capsys.readouterr().err == "error: no class \\x1b]52;c;AAAA\\x07 here\\x9b2J\n  line 1\n  line\t2\n"


def test_a_traceback_has_no_password(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variables.DEBUG, "1")
    error = TrackingError("the server is away")
    error.__cause__ = ValueError("API request to http://ann:secret@host:5000/api failed")
    complain(error)
    shown = capsys.readouterr().err
    assert "API request to http://host:5000/api failed" in shown
    assert "secret" not in shown


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", tuple(commands(get_command(make_app()))), ids=lambda path: "-".join(path) or "bench")
def test_help_uses_one_convention_and_cuts_nothing_in_80_columns(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(make_app(), [*path, "--help"], env={"COLUMNS": "80"}).stdout
    assert not re.search(r"<\w+.*>", text)
    assert "{" not in text
    assert "default: (" not in " ".join(text.split())
    for line in text.splitlines():
        assert not re.match(r"  \w+ .*[a-z]\.\.\.$", line)
        if line.startswith("  For example:"):
            assert f"\n{line}\n\n" in text


def test_the_usage_of_a_command_names_its_arguments_as_the_docs_do() -> None:
    def usage(name: str) -> str:
        return CliRunner().invoke(make_app(), [name, "--help"], prog_name="bench").stdout.splitlines()[0]

    assert usage("predict") == "Usage: bench predict [OPTIONS] RUN IMAGE..."
    assert usage("time") == "Usage: bench time [OPTIONS] FILE_OR_MODEL [DATASET]"
    assert usage("grid") == "Usage: bench grid [OPTIONS] FILE"


def test_each_hint_of_an_error_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain(no_such_plugin("model", "alexnett", ["alexnet"], ()))
    assert capsys.readouterr().err.splitlines()[:3] == [
        "error: no model named 'alexnett'",
        "  did you mean 'alexnet'?",
        "  all models: bench list models",
    ]
