"""The one place that catches errors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from benchbench import variables
from benchbench.cli.main import complain, make_app
from benchbench.errors import SpecError, TrackingError

if TYPE_CHECKING:
    import pytest


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
    assert capsys.readouterr().err == "error: no class \\x1b]52;c;AAAA\\x07 here\\x9b2J\n  line 1\nline\t2\n"


def test_a_traceback_has_no_password(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variables.DEBUG, "1")
    error = TrackingError("the server is away")
    error.__cause__ = ValueError("API request to http://ann:secret@host:5000/api failed")
    complain(error)
    shown = capsys.readouterr().err
    assert "API request to http://host:5000/api failed" in shown
    assert "secret" not in shown
