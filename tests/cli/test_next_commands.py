"""Commands end by naming one that can come next."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from rich.console import Console
from support import journals
from support.commands import Bench
from support.paths import PLUGINS

from benchbench.cli.run import show_next_commands
from benchbench.records.events import MODEL_NOT_SAVED
from benchbench.records.record import MlflowRun, Record

if TYPE_CHECKING:
    from pathlib import Path

GRID = """
name = "rates"
model = "tiny"
dataset = { name = "synthetic", num_train = 40, num_val = 10, num_test = 10, num_classes = 2 }
epochs = 1
seeds = [0, 1]
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Bench:
    """Return a folder with a grid of which one trial has a model, its results in a file, and an image."""
    folder = tmp_path_factory.mktemp("next")
    shutil.copy(empty_database, folder / "mlflow.db")
    Image.new("RGB", (32, 32)).save(folder / "new.png")
    made = Bench(folder, folder / "cache")
    made.write("grid.toml", GRID)
    made.write("longer.toml", GRID.replace("epochs = 1", "epochs = 2"))
    plugins = ("--plugins", PLUGINS / "tiny.py")
    for command in (("grid", "grid.toml", *plugins, "--experiment", "rates"), ("export", "rates")):
        done = made(*command)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def run_id(bench: Bench) -> str:
    """Return the run that keeps a model: of a grid, the best trial."""
    (file,) = bench.folder.glob("mlruns/*/models/*/artifacts/MLmodel")
    return next(line.split()[1] for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("run_id:"))


COMMANDS = {
    "report rates -o rates.html": "bench export rates",
    "report results.bench -o rates.html": "bench import results.bench",
    "predict RUN new.png --experiment rates": (
        "the same command with -o predictions.csv  (the probability of every class)"
    ),
    "predict RUN new.png --experiment rates -o told.csv": ("bench report rates  (accuracies on the test images)"),
    "grid longer.toml --dry-run --plugins TINY": "the same command without --dry-run",
    "grid grid.toml --dry-run --experiment rates --plugins TINY": "bench compare rates --grid grid.toml",
    "grid grid.toml --dry-run --experiment rates --plugins TINY --set dataset.noise=0.5": "bench compare rates",
    "import results.bench": "bench compare rates",
    "import results.bench --experiment other": "bench compare other",
}


def words(command: str, run_id: str) -> list[str]:
    return command.replace("RUN", run_id).replace("TINY", str(PLUGINS / "tiny.py")).split()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "expected"), COMMANDS.items(), ids=COMMANDS.keys())
def test_commands_end_by_naming_the_next_one(bench: Bench, run_id: str, command: str, expected: str) -> None:
    done = bench(*words(command, run_id))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"next: {expected}"


@pytest.mark.slow
def test_a_grid_ends_with_the_command_that_classifies_images_with_its_best_trial(bench: Bench, run_id: str) -> None:
    done = bench(*words("grid grid.toml --experiment rates --plugins TINY", run_id))
    assert done.returncode == 0, done.stderr
    assert f"      bench predict {run_id[:12]} IMAGES --experiment rates  (the best trial)\n" in done.stdout
    assert "the grid's run: " in done.stdout


@pytest.mark.parametrize(
    ("fresh", "expected"),
    [(False, "next: the same command again, to resume"), (True, "next: the same command without --fresh, to resume")],
)
def test_a_run_that_was_interrupted_says_how_to_resume_it(expected: str, *, fresh: bool) -> None:
    record = Record.of([journals.started(), journals.epoch(1), journals.failed(status="killed")])
    console = Console(file=StringIO(), width=80)
    show_next_commands(record, console, experiment="bench", keeps_model=True, fresh=fresh)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [expected]


@pytest.mark.parametrize(("notes", "is_suggested"), [((), True), ((f"{MODEL_NOT_SAVED}: RuntimeError: no",), False)])
def test_a_model_that_was_not_saved_is_not_suggested_for_predictions(
    notes: tuple[str, ...], *, is_suggested: bool
) -> None:
    record = Record.of([journals.started(), journals.epoch(1), replace(journals.finished(), notes=notes)])
    record = replace(record, mlflow=MlflowRun("sqlite:///mlflow.db", "1", "a" * 32))
    console = Console(file=StringIO(), width=80)
    show_next_commands(record, console, experiment="bench", keeps_model=True)
    assert isinstance(console.file, StringIO)
    assert ("bench predict aaaaaaaaaaaa IMAGES" in console.file.getvalue()) == is_suggested
    assert "bench compare" in console.file.getvalue()
