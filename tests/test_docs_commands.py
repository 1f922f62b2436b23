"""Every call of ``bench`` in the documents has options that its command takes."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from support.pages import TEXTS, blocks, outside_blocks
from typer.main import get_command

from benchbench.cli.main import make_app

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_OTHER_PROGRAMS = {"--check", "--backend-store-uri", "--benchmark-json"}
"""Options of our own scripts, of MLflow and of pytest."""

EVERYWHERE = {"-h", "--help", "--no-plugins"}
"""Options that every command takes, though few declare them."""

CALL = re.compile(r"(?:\$ |next: +|For example: )?(?:[A-Z_]+=\S+ +)*(?:[^\s=`]+/)?(bench .*)")
OPTION = re.compile(r"--?[a-z][a-z-]*")
APP: Any = get_command(make_app())


def calls(text: str, lines: str) -> list[str]:
    """Return the calls of ``bench`` in the lines of a page's blocks and in the code within its text."""
    joined = re.sub(r"\\\n\s*", "", lines).splitlines()
    in_text = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside_blocks(text))]
    examples = re.findall(r"^For example: .*", text, re.MULTILINE)
    return [call[1] for line in (*joined, *in_text, *examples) if (call := CALL.fullmatch(line.strip()))]


def calls_of(page: str) -> list[str]:
    lines = "".join(block.text for block in blocks("sh", "console", "text") if block.page == page)
    return calls(TEXTS[page], lines)


def unknown_options(call: str) -> Iterator[str]:
    """Yield the options of a call that its command does not take; those before the command are of ``bench`` itself."""
    command = APP
    for word in shlex.split(call, comments=True)[1:]:
        option = OPTION.fullmatch(word.partition("=")[0])
        if option and option[0] not in options_of(command):
            yield option[0]
        command = getattr(command, "commands", {}).get(word, command)


def options_of(command: Any) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | EVERYWHERE


def all_options(command: Any) -> set[str]:
    return options_of(command).union(*map(all_options, getattr(command, "commands", {}).values()))


def test_calls_are_found_however_they_are_written() -> None:
    assert {"README.md", "docs/cli.md", "docs/recipes.md"} <= {page for page in TEXTS if calls_of(page)}
    lines = "$ bench list\nMLFLOW_TRACKING_URI=x .venv/bin/bench run a b \\\n    -e 1  # slow\nnext: bench compare\n"
    text = "Both `bench list` and `bench\nrun`, not `make bench`."
    assert calls(text, lines) == [
        "bench list",
        "bench run a b -e 1  # slow",
        "bench compare",
        "bench list",
        "bench run",
    ]


@pytest.mark.parametrize(
    ("call", "options"),
    [
        ("bench list models --epochs 3", ["--epochs"]),
        ("bench plugin check net --file --json", ["--file"]),
        ("bench --debug run a b --lr=0.1 -e 1 --version  # --grid", ["--version"]),
        ("bench run a b --augment flip -o sgd --no-plugins", []),
    ],
)
def test_an_option_of_another_command_is_none_of_this_one(call: str, options: list[str]) -> None:
    assert list(unknown_options(call)) == options


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - {"CHANGELOG.md"}))
def test_every_call_on_a_page_has_options_of_its_command(page: str) -> None:
    assert {call: options for call in calls_of(page) if (options := list(unknown_options(call)))} == {}


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - {"CHANGELOG.md"}))
def test_every_option_that_a_page_names_is_one_of_bench(page: str) -> None:
    named = re.findall(r"`(--[a-z][a-z-]*)", outside_blocks(TEXTS[page]))
    assert set(named) <= all_options(APP) | OF_OTHER_PROGRAMS
