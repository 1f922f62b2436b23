# ruff: noqa: INP001 - a script, no package
"""Make the images of the README from real output: ``python docs/screenshots.py``.

It trains in a temporary folder, writes ``docs/images/terminal.svg`` with rich and ``docs/images/report.png`` with
headless Chromium, and takes about three minutes.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pexpect
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).with_name("images")
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
BENCH = Path(sysconfig.get_path("scripts")) / "bench"
COLUMNS = 110
COMMANDS = (
    "bench grid grid.toml",
    "bench compare --grid grid.toml --metric test_accuracy",
)


def main() -> None:
    """Write both images."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(EXPERIMENTS / "grid.toml", folder)
        outputs = [(command, _output(command, Path(folder))) for command in COMMANDS]
        _save_terminal(outputs)
        _output("bench report bench --grid grid.toml -o report.html", Path(folder))
        _save_page(Path(folder) / "report.html")


def _output(command: str, folder: Path) -> str:
    """Return what a command prints, without its progress bars: those of a grid appear in terminals alone."""
    words, environment = command.split()[1:], os.environ | {"BENCH_STATE": str(folder / ".bench")}
    if words[0] == "compare":
        size = (100, COLUMNS)
        shown = pexpect.run(shlex.join([str(BENCH), *words]), cwd=folder, env=environment, dimensions=size, timeout=60)
        return Text.from_ansi(shown.decode().replace("\r\n", "\n")).plain.rstrip()
    done = subprocess.run(  # noqa: S603 - our own program
        [BENCH, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.rstrip()


def _save_terminal(outputs: list[tuple[str, str]]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command, output in outputs:
        console.print(Text.assemble(("$ ", "green"), (command, "bold")))
        console.print(Text(output))
    console.save_svg(str(IMAGES / "terminal.svg"), title="benchbench")


def _save_page(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1100, "height": 900})
        view.goto(page.as_uri())
        view.wait_for_timeout(1000)
        view.screenshot(path=IMAGES / "report.png")
        browser.close()


if __name__ == "__main__":
    main()
