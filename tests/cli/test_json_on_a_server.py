"""``--json`` of every command against a tracking server: MLflow prints links, and none of them may reach the output."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from PIL import Image
from support.commands import Bench
from support.paths import PLUGINS
from support.tracking_server import free_port, server

from benchbench.cli.main import make_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import click

pytestmark = pytest.mark.slow
TINY = PLUGINS / "tiny.py"
GRID = f"""
name = "rates"
model = "tiny"
dataset = "digits"
plugins = ["{TINY}"]
epochs = 1
batch_size = 100
seeds = [0]
optimizer = {{ name = "sgd", lr = {{ grid = [0.01, 0.1] }} }}
"""
COMMANDS = (
    ("grid", "rates.toml", "--artifacts", "light", "--json"),
    ("run", "--spec", "spec.toml", "--seed", 7, "--json"),
    ("predict", "tiny-sgd-digits-s7", "image.png", "--json"),
    ("runs", "list", "--json"),
    ("compare", "--json"),
    ("compare", "--grid", "rates.toml", "--format", "json"),
    ("report", "-o", "report.html", "--json"),
    ("export", "-o", "results.bench", "--json"),
    ("import", "results.bench", "--json"),
    ("time", "tiny", "digits", "--plugins", TINY, "-b", "50,100", "--rounds", 3, "--steps", 2, "--json"),
    ("list", "--json"),
    ("show", "model", "alexnet", "--json"),
    ("data", "list", "--json"),
    ("data", "verify", "digits", "--json"),
    ("plugin", "check", "sgd", "--json"),
    ("doctor", "--json"),
)
"""In this order: those that read need the trials of those that train."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with server(folder, free_port()) as address:
        made = Bench(tmp_path_factory.mktemp("work"), folder / "cache", {"MLFLOW_TRACKING_URI": address})
        made.write("rates.toml", GRID)
        Image.new("RGB", (64, 64)).save(made.folder / "image.png")
        made.write("spec.toml", f'model = "tiny"\ndataset = "digits"\nepochs = 1\nplugins = ["{TINY}"]\n')
        yield made


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(map(str, words[:2])))
def test_standard_output_is_json_and_nothing_else(bench: Bench, words: Sequence[object]) -> None:
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    # A run tells of itself on standard error, as it does on standard output otherwise.
    assert words[0] == "run" or "next: " not in done.stderr


def test_two_models_that_a_server_has_are_compared_as_json(bench: Bench) -> None:
    trials = json.loads(bench("runs", "list", "--json").stdout)["trials"]
    runs = [trial["run_id"] for trial in trials if trial["optimizer"] == "sgd"][:2]
    done = bench("compare", "--models", *runs, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == runs


def test_no_command_with_json_is_left_out() -> None:
    tried = {tuple(word for word in words[:2] if str(word).isalpha()) for words in COMMANDS}
    with_json = {path for path, command in commands(typer.main.get_command(make_app())) if has_json(command)}
    left_out = {path for path in with_json if path not in {words[: len(path)] for words in tried}}
    assert left_out <= {("data", "fetch")}  # which downloads


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands with the words that call them."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from commands(below, (*path, name))


def has_json(command: click.Command) -> bool:
    """Tell whether a command has the option."""
    return any("--json" in parameter.opts for parameter in command.params)
