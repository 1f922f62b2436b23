"""The one place that catches errors."""

from __future__ import annotations

import errno
import os

from typer.testing import CliRunner

from benchbench.cli.main import make_app


def test_a_full_disk_is_one_line_wherever_it_is_noticed() -> None:
    app = make_app()

    @app.command("fill")
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/benchbench/heartbeat")  # noqa: S108

    done = CliRunner().invoke(app, ["fill"])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: /tmp/benchbench/heartbeat cannot be written: No space left on device\n")
