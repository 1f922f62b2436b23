"""``bench report`` on a real MLflow store of made trials."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.made_records import events, spec
from support.stores import Filler
from typer.testing import CliRunner, Result

from benchbench.cli.main import make_app
from benchbench.tracking import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRID = """
name = "rates"
question = "Which rate?"
model = "alexnet"
dataset = "squares"
epochs = 3
batch_size = 12
seeds = [0, 1]
optimizer = { name = "sgd", lr = { grid = [0.001, 0.005] } }

[compare]
metrics = ["test_accuracy", "train_seconds"]

[[expected]]
where = { "optimizer.lr" = 0.005 }
metric = "test_accuracy"
value = 0.60
source = "Table 1"
"""


@dataclass(frozen=True)
class Filled:
    """A folder with a store in it, and the run of its grid."""

    folder: Path
    parent: str


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Filled]:
    """A store with a grid of two rates and two seeds, a trial of no grid, and an experiment without results."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(empty_database, folder / "mlflow.db")
    filler = Filler(folder / "journals")
    with contextlib.chdir(folder):
        uri = f"sqlite:///{folder}/mlflow.db"
        store = Store.open(uri, "bench")
        parent = store.open_parent("rates", file=folder / "rates.toml", headline="Which rate?")
        for lr, accuracies in ((0.001, (0.50, 0.52)), (0.005, (0.60, 0.63))):
            for seed, accuracy in enumerate(accuracies):
                filler.trial(store, events(spec(seed, lr=lr), accuracy), parent=parent)
        filler.trial(Store.open(uri, "alone"), events(spec(0)))
        filler.trial(Store.open(uri, "unfinished"), [*events(spec(0))[:2], journals.failed()])
        yield Filled(folder, parent)


@pytest.fixture
def store(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Filled:
    """Be in the folder of the store, with a grid file in it."""
    monkeypatch.chdir(filled.folder)
    (filled.folder / "rates.toml").write_text(GRID, encoding="utf-8")
    return filled


def bench(*words: object) -> Result:
    return CliRunner().invoke(make_app(), ["report", *map(str, words)])


def kept(filled: Filled) -> set[str]:
    folder = next((filled.folder / "mlruns").glob(f"*/{filled.parent}"), None)
    return {path.name for path in folder.rglob("*") if path.is_file()} if folder else set()


@pytest.mark.slow
def test_a_report_is_kept_with_the_run_of_the_grid_unless_that_is_not_wanted(store: Filled, tmp_path: Path) -> None:
    path = tmp_path / "rates.html"
    result = bench("bench", "-o", path, "--no-log")
    assert result.exit_code == 0, result.output
    assert f"{path}  4 trials: 4 finished" in result.stdout
    assert kept(store) == set()

    result = bench("bench", "-o", path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == {
        "report": str(path),
        "bytes": path.stat().st_size,
        "trials": "4 trials: 4 finished",
        "run_id": store.parent,
    }
    assert kept(store) == {"report.html"}


def test_a_grid_file_gives_the_report_its_question_and_published_numbers(store: Filled, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = bench("bench", "--grid", "rates.toml", "--baseline", "optimizer.lr=0.005", "-o", path, "--no-log")
    assert result.exit_code == 0, result.output
    text = path.read_text(encoding="utf-8")
    assert "<h1>Which rate?</h1>" in text
    assert "against published numbers" in text
    assert "train_seconds (seconds; ratio to the baseline; lower is better)" in text
    assert "bench grid rates.toml" in text
    assert store.parent


def test_published_numbers_whose_trials_have_not_run_are_no_obstacle(store: Filled, tmp_path: Path) -> None:
    grid, path = store.folder / "rates.toml", tmp_path / "report.html"
    later = GRID.replace("[0.001, 0.005]", "[0.001, 0.005, 0.02]").replace(
        '"optimizer.lr" = 0.005', '"optimizer.lr" = 0.02'
    )
    grid.write_text(later, encoding="utf-8")
    result = bench("bench", "--grid", grid, "-o", path, "--no-log")
    assert result.exit_code == 0, result.output
    assert "not compared with published numbers: [[expected]] matches no trial: optimizer.lr=0.02" in result.stderr
    assert path.exists()


def test_published_numbers_may_be_about_a_target_of_their_file_whatever_the_options_ask(
    store: Filled, tmp_path: Path
) -> None:
    grid, path = store.folder / "rates.toml", tmp_path / "report.html"
    asked = GRID.replace("[compare]", "[compare]\ntargets = { val_accuracy = 0.5 }")
    head, metric, row = asked.rpartition('"test_accuracy"\nvalue = 0.60')
    assert metric
    grid.write_text(f'{head}"epochs_to_val_accuracy=0.5"\nvalue = 2.0{row}', encoding="utf-8")
    result = bench("bench", "--grid", grid, "--target", "val_loss=1", "-o", path, "--no-log")
    assert result.exit_code == 0, result.output
    text = path.read_text(encoding="utf-8")
    assert "<td>epochs_to_val_accuracy=0.5</td>" in text


@pytest.mark.usefixtures("store")
def test_an_experiment_without_a_grid_keeps_no_report(tmp_path: Path) -> None:
    result = bench("alone", "-o", tmp_path / "report.html", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["run_id"] is None


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bensh",), "did you mean 'bench'?"),
        (("unfinished",), "no trial has finished: 1 failed"),
        (("bench", "-o", "."), "-o . is a folder"),
        (("bench", "-o", "/dev/null"), "-o /dev/null is not a regular file"),
        (("bench", "-o", "nowhere/report.html"), "there is no folder nowhere"),
        (("bench", "-o", "rates.toml/report.html"), "there is no folder rates.toml"),
        (("bench", "--metric", "test_acuracy"), "did you mean 'test_accuracy'?"),
        (("bench", "--by", "epochs"), "cannot compare by 'epochs'"),
    ],
)
def test_wrong_input_is_told_and_nothing_is_written(words: tuple[str, ...], message: str, store: Filled) -> None:
    result = bench(*words)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not list(store.folder.glob("*.html"))
