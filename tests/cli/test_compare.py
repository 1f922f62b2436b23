"""``bench compare`` on a real MLflow store of made trials, and the records read back from it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from support import journals
from support.grid_files import RATES
from support.made_records import CLASSES, events, spec
from support.paths import REPOSITORY
from support.stores import Filler
from typer.testing import CliRunner, Result

import benchbench as bb
from benchbench.cli.main import make_app
from benchbench.records.record import FORMAT
from benchbench.tracking import Store
from benchbench.tracking.stored_records import load_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


DOCUMENT = REPOSITORY / "docs" / "compare.md"
COMPARISON = """
[compare]
by = ["optimizer.lr"]
metrics = ["test_accuracy", "train_seconds"]
baseline = { "optimizer.lr" = 0.005 }
targets = { val_accuracy = 0.7 }
confidence = 0.9

[[expected]]
where = { "optimizer.lr" = 0.005 }
metric = "test_accuracy"
value = 0.60
source = "Table 1"

[[expected]]
where = { "optimizer.lr" = 0.001 }
metric = "test_accuracy"
value = 0.95
source = "Table 1"
"""
GRID = RATES + COMPARISON


@dataclass(frozen=True)
class Filled:
    """A folder with a store in it, and the ids of two of its runs."""

    folder: Path
    runs: tuple[str, str]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Filled]:
    """A store with two configurations of three seeds and a failed trial, and experiments that cannot be compared."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(empty_database, folder / "mlflow.db")
    filler = Filler(folder / "journals")
    with contextlib.chdir(folder):
        uri = f"sqlite:///{folder}/mlflow.db"
        store = Store.open(uri, "bench")
        runs = []
        for lr, accuracies, right in ((0.001, (0.50, 0.52, 0.57), "1" * 12), (0.005, (0.60, 0.63, 0.66), "1000" * 3)):
            for seed, accuracy in enumerate(accuracies):
                told = events(spec(seed, lr=lr), accuracy, seconds=10 + seed if lr == 0.001 else 21 + 2 * seed)
                runs.append(filler.trial(store, told, right=right))
        filler.trial(store, [*events(spec(3, lr=0.005))[:2], journals.failed()])
        store.open_parent("table1", file=folder / "table1.toml", headline="which?")
        filler.trial(Store.open(uri, "unfinished"), [*events(spec(0))[:2], journals.failed()])
        for name, written in (("older", FORMAT - 1), ("newer", FORMAT + 1)):
            other = Store.open(uri, name)
            run_id = filler.trial(other, events(spec(0)))
            text = json.dumps({"format": written, "status": "finished"})
            (folder / "record.json").write_text(text, encoding="utf-8")
            other.client.log_artifact(run_id, str(folder / "record.json"))
        mixed = Store.open(uri, "mixed")
        for name in ("squares", "circles"):
            dataset = replace(journals.SPEC.dataset, name=name)
            for lr, accuracies in ((0.001, (0.50, 0.52, 0.57)), (0.005, (0.60, 0.63, 0.66))):
                for seed, accuracy in enumerate(accuracies):
                    filler.trial(mixed, events(spec(seed, lr=lr, dataset=dataset), accuracy))
        filler.trial(mixed, events(spec(0, epochs=1)))
        Store.open(uri, "nothing")
        broken = Store.open(uri, "broken")
        filler.trial(broken, events(spec(0)))
        (path,) = (folder / "mlruns" / broken.experiment_id).glob("*/artifacts/record.json")
        path.write_text(json.dumps({"format": FORMAT, "status": "finished"}), encoding="utf-8")
        yield Filled(folder, (runs[0], runs[3]))


@pytest.fixture
def folder(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in the folder of the store, with a grid file beside it."""
    monkeypatch.chdir(filled.folder)
    (filled.folder / "table1.toml").write_text(GRID, encoding="utf-8")
    return filled.folder


def bench(*words: object) -> Result:
    return CliRunner().invoke(make_app(), ["compare", *map(str, words)])


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.usefixtures("folder")
def test_the_table_has_a_row_for_each_configuration_and_says_how_it_was_made() -> None:
    result = bench("bench", "--metric", "test_accuracy")
    assert result.exit_code == 0, result.output
    assert not result.stderr
    text = result.stdout
    assert "test_accuracy (%; difference in points; higher is better)" in text
    low, high = (line for line in text.splitlines() if "(n=3)" in line)
    assert re.search(r"0.001 +53.0 ± 3.6 \(n=3\) +44.0 .. 61.8 +baseline", low)
    assert re.search(
        r"0.005 \* +63.0 ± 3.0 \(n=3\) +55.3 .. 70.1 +\+10.00 \[\+7.52, \+12.48\] +paired t, r = 0.97 ", high
    )
    assert re.search(r" 1 failed +better", high)
    assert "verdicts are about new seeds on the same test images, corrected for 1 (Holm)" in text
    assert "device: cpu, Some Processor, 2 threads" in text
    assert "versions: python 3.11.7, torch 2.14.1" in text


@pytest.mark.usefixtures("folder")
def test_the_interval_plot_is_between_the_answer_and_the_tables_and_in_no_other_format() -> None:
    lines = bench("bench").stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("test_accuracy, difference from"))
    assert re.search(r"^optimizer.lr=0.005 +│ +├─+●─+┤ +\+10.0 \[\+7.5, \+12.5\]$", lines[first + 1])
    assert max(map(len, lines[first : first + 4])) <= 80
    assert lines.index("test_accuracy (%; difference in points; higher is better)") > first
    for form in ("markdown", "csv", "latex", "json"):
        assert "●" not in bench("bench", "--format", form).stdout


@pytest.mark.usefixtures("folder")
def test_trials_that_say_nothing_about_each_other_are_compared_in_groups() -> None:
    result = bench("mixed", "--baseline", "optimizer.lr=0.001")
    assert result.exit_code == 0, result.output
    # With a baseline, the single trial of one epoch stays; without one it is apart.
    groups = json.loads(bench("mixed", "--json").stdout)["groups"]
    headings = [
        "dataset=squares, several seeds",
        "dataset=squares, single trial, optimizer.lr=0.001 epochs=1 seed=0",
        "dataset=circles",
    ]
    assert [(group["heading"], group["num_trials"]) for group in groups] == list(zip(headings, (6, 1, 6), strict=True))
    assert [len(group["rows"]) for group in groups] == [2, 1, 2]
    assert groups[2]["rows"][1]["cells"]["test_accuracy"]["verdict"]["kind"] == "better"
    text = bench("mixed").stdout
    assert [line for line in text.splitlines() if line.startswith("dataset=")] == headings
    table = pd.read_csv(io.StringIO(bench("mixed", "--format", "csv").stdout))
    assert list(dict.fromkeys(table["group"])) == headings


@pytest.mark.usefixtures("folder")
def test_a_group_without_an_answer_says_why_and_the_others_are_compared() -> None:
    groups = json.loads(bench("mixed", "--by", "epochs", "--json").stdout)["groups"]
    assert groups[0]["rows"]
    assert groups[1]["obstacle"].startswith("cannot compare by 'epochs'")
    told = bench("mixed", "--by", "epochs", "--format", "csv").stderr
    assert "dataset=circles: nothing is compared: cannot compare by 'epochs'" in told
    assert "warning: dataset=squares: rows pool trials that differ in optimizer.lr" in told


@pytest.mark.usefixtures("folder")
def test_a_grid_file_asks_its_question_of_its_own_trials() -> None:
    result = bench("bench", "--grid", "table1.toml", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["groups"]
    assert [metric["name"] for metric in found["metrics"]] == [
        "test_accuracy",
        "train_seconds",
        "epochs_to_val_accuracy=0.7",
        "seconds_to_val_accuracy=0.7",
    ]
    assert found["confidence"] == 0.9
    assert [row["is_baseline"] for row in found["rows"]] == [False, True]
    # The failed trial's seed is not one of the grid's.
    assert [row["statuses"] for row in found["rows"]] == [{"finished": 3}, {"finished": 3}]
    assert found["rows"][0]["cells"]["train_seconds"]["verdict"]["kind"] == "better"
    assert found["rows"][0]["cells"]["train_seconds"]["contrast"]["is_ratio"]


@pytest.mark.usefixtures("folder")
def test_options_override_the_file_and_missing_trials_of_the_grid_are_noted(tmp_path: Path) -> None:
    grid = tmp_path / "more.toml"
    grid.write_text(GRID.replace("[0, 1, 2]", "[0, 1, 2, 8]"), encoding="utf-8")
    result = bench("bench", "--grid", grid, "--metric", "test_loss", "--baseline", "optimizer.lr=0.001", "--json")
    assert result.exit_code == 0, result.output
    assert "2 of 8 trials of the grid are not here" in result.stderr
    (found,) = json.loads(result.stdout)["groups"]
    assert found["metrics"][0]["name"] == "test_loss"
    assert found["rows"][0]["is_baseline"]


@pytest.mark.usefixtures("folder")
def test_csv_is_read_by_pandas_with_numbers_as_they_are_kept() -> None:
    result = bench("bench", "--metric", "test_accuracy", "--metric", "wall_seconds", "--format", "csv")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table["metric"]) == ["test_accuracy"] * 2 + ["wall_seconds"] * 2
    assert table.loc[1, "mean"] == pytest.approx(0.63)
    assert table.loc[1, "estimate_low"] == pytest.approx(0.0752, abs=1e-4)
    assert table.loc[1, "num_failed"] == 1
    assert table.loc[1, "verdict"] == "better"
    assert table.loc[3, "change"] == "ratio"


@pytest.mark.usefixtures("folder")
def test_markdown_and_latex_have_a_table_for_each_metric() -> None:
    metrics = ("--metric", "test_accuracy", "--metric", "train_seconds")
    markdown = bench("bench", *metrics, "--format", "markdown").stdout
    assert sum(line.startswith("| --- |") for line in markdown.splitlines()) == 3
    assert "| 0.005 \\* | 63.0 ± 3.0 (n=3) |" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows if "paired" in line}) == 1
    latex = bench("bench", *metrics, "--format", "latex").stdout
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 3
    assert r"63.0 $\pm$ 3.0 (n=3)" in latex
    assert r"test\_accuracy (\%;" in latex
    assert not re.search(r"(?<!\\)[#_]|[±]", latex)


@pytest.mark.usefixtures("folder")
def test_published_numbers_are_judged_row_by_row() -> None:
    result = bench("bench", "--grid", "table1.toml", "--expected")
    assert result.exit_code == 0, result.output
    first, second = (line for line in result.stdout.splitlines() if "Table 1" in line)
    assert re.search(r"optimizer.lr=0.005 .* 63.0 ± 3.0 \(n=3\) +60.0 +52.5 .. 72.4 +reproduced", first)
    assert "differs" in second
    assert "1 of 2 differ; 0.2 are expected to differ by chance" in result.stdout
    found = json.loads(bench("bench", "--grid", "table1.toml", "--expected", "--format", "json").stdout)
    assert [row["judgement"] for row in found["rows"]] == ["reproduced", "differs"]
    table = pd.read_csv(io.StringIO(bench("bench", "--grid", "table1.toml", "--expected", "--format", "csv").stdout))
    assert list(table["theirs"]) == [0.60, 0.95]


@pytest.mark.usefixtures("folder")
def test_verdicts_on_images_like_these_are_beside_those_on_this_test_set() -> None:
    text = bench("bench", "--population").stdout
    assert "test_accuracy on images like these (difference from optimizer.lr=0.001 in points)" in text
    assert re.search(r"optimizer.lr=0.005 +-75.00 .* 3 pairs .* worse on images like these \(p", text)
    (group,) = json.loads(bench("bench", "--population", "--json").stdout)["groups"]
    (row,) = group["over_images"]["rows"]
    assert (row["num_images"], row["kind"]) == (12, "worse")
    table = pd.read_csv(io.StringIO(bench("bench", "--population", "--format", "csv").stdout))
    assert list(table["metric"])[-1] == "test_accuracy on images like these"


@pytest.mark.usefixtures("folder")
def test_a_file_may_have_published_numbers_and_no_grid(tmp_path: Path) -> None:
    path = tmp_path / "paper.toml"
    path.write_text(GRID[GRID.index("[[expected]]") :], encoding="utf-8")
    assert bench("bench", "--grid", path, "--expected").exit_code == 0
    path.write_text("[comparee]\n", encoding="utf-8")
    assert "did you mean 'compare'?" in bench("bench", "--grid", path).stderr


@pytest.mark.usefixtures("folder")
def test_two_trained_models_are_compared_by_their_predictions(filled: Filled) -> None:
    first, second = (run_id[:12] for run_id in filled.runs)
    result = bench("bench", "--models", first, second)
    assert result.exit_code == 0, result.output
    # Alone right on 9 images of 12, the other on none: p = 2 / 2^9.
    assert "the first model is correct more often on images like these (p = 0.0039)" in result.stdout
    assert "not about their configurations" in result.stdout
    found = json.loads(bench("bench", "--models", first, second, "--json").stdout)
    assert (found["only_first"], found["only_second"], found["both"]) == (9, 0, 3)
    assert found["p_value"] == pytest.approx(2 / 2**9)
    assert list(csv.DictReader(io.StringIO(bench("bench", "--models", first, second, "--format", "csv").stdout)))


BAD_INPUT = [
    (["benhc"], "no experiment named 'benhc'", "did you mean 'bench'?"),
    (["unfinished"], "no trial has finished: 1 failed", "bench runs list"),
    (["nothing"], "the experiment 'nothing' has no trials", "bench grid FILE"),
    (["older"], f"is of format {FORMAT - 1}, and this benchbench reads format {FORMAT}", "read it with that version"),
    (["newer"], f"is of format {FORMAT + 1}, and this benchbench reads format {FORMAT}", "delete the run"),
    (["broken"], "is damaged: spec_id is missing, and 10 more", "delete the run"),
    (["bench", "--metric", "test_acc"], "no trial has a metric 'test_acc'", "test_accuracy"),
    (["bench", "--metric", "zzz"], "no trial has a metric 'zzz'", "all metrics: final_train_accuracy"),
    (["bench", "--by", "optimizer.momentum"], "it is 0.9 in all trials", "what varies: optimizer.lr"),
    (["bench", "--by", "optimiser.lr"], "no trial has 'optimiser.lr'", "did you mean 'optimizer.lr'?"),
    (["bench", "--baseline", "optimizer.lr=9"], "no row matches the baseline", "rows: optimizer.lr=0.001"),
    (["bench", "--baseline", "optimizer.lr"], "is not KEY=VALUE", "such as --baseline optimizer.lr=0.001"),
    (["bench", "--target", "val_accuracy=50"], "accuracies are fractions", "write 0.5 for 50 %"),
    (
        ["bench", "--target", "val_accuracy=0.5", "--target", "val_accuracy=0.6"],
        "val_accuracy is given twice",
        "second",
    ),
    (["bench", "--target", "val_accuracy=high"], "'high' is not a number", "val_accuracy=0.5"),
    (["bench", "--target", "test_accuracy=0.5"], "not measured after every epoch", "did you mean"),
    (["bench", "--confidence", "95"], "--confidence 95 is not between 0 and 1", "0.95"),
    (["bench", "--format", "tex"], "'--format': 'tex' is not one of 'table'", "bench compare --help"),
    (["bench", "--expected"], "no published results to compare with", "--grid FILE"),
    (["bench", "--datasets"], "all trials are of the same dataset", "without --datasets"),
    (["bench", "--margin", "200"], "--margin 200 is not between 0 and 100 points", "0.5"),
    (["bench", "--grid", "none.toml"], "no such file: none.toml", ""),
    (["bench", "--datasets", "--population"], "--datasets and --population are different comparisons", "one call"),
    (["bench", "--models", "a", "b", "--by", "model"], "--by has no effect with --models", "leave it out"),
    (["bench", "--json", "--format", "csv"], "--json and --format csv are both given", "--format json"),
    (["bench", "--models", "aaaa", "bbbb"], "no run of experiment 'bench' is 'aaaa'", ""),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("words", "message", "hint"), BAD_INPUT, ids=lambda value: " ".join(value)[:30])
def test_bad_input_ends_with_2_and_one_message(words: list[str], message: str, hint: str) -> None:
    result = bench(*words)
    assert result.exit_code == 2
    assert not result.stdout
    first, *rest = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert hint in " ".join(rest)


BAD_EXPECTED = [
    ("value = 0.60", "value = 60.0", "[[expected]] 1: accuracies are fractions from 0 to 1", "write 0.6 for 60 %"),
    ('"optimizer.lr" = 0.001 }', '"optimizer.lr" = 0.3 }', "[[expected]] 2 selects no trial: optimizer.lr=0.3", ""),
    ("where = { ", "where = { epochs = 9, ", "'epochs' is not an axis of this grid", "axes: optimizer.lr, seed"),
]


@pytest.mark.parametrize(("old", "new", "message", "hint"), BAD_EXPECTED)
def test_published_numbers_without_a_counterpart_end_with_2(
    old: str, new: str, message: str, hint: str, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text((folder / "table1.toml").read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    result = bench("bench", "--grid", path, "--expected")
    assert result.exit_code == 2
    assert message in result.stderr
    assert hint in result.stderr


def test_a_folder_without_a_store_says_so_and_makes_none(workdir: Path) -> None:
    result = bench("bench")
    assert result.exit_code == 2
    assert "nothing was run here" in result.stderr
    assert not (workdir / "mlflow.db").exists()


def test_a_run_without_predictions_cannot_be_compared_as_a_model(filled: Filled, folder: Path) -> None:
    failed = next(record for record in bb.load_records() if record.status == "failed")
    assert failed.mlflow is not None
    result = bench("bench", "--models", filled.runs[0], failed.mlflow.run_id)
    assert result.exit_code == 2
    assert "keeps no predictions" in result.stderr
    assert folder.is_dir()


@pytest.mark.usefixtures("folder")
def test_records_come_back_whole_oldest_first_with_their_runs(filled: Filled) -> None:
    records = bb.load_records("bench")
    assert [record.spec.seed for record in records] == [0, 1, 2, 0, 1, 2, 3]
    assert [record.status for record in records] == ["finished"] * 6 + ["failed"]
    first = records[0]
    assert first.mlflow is not None
    assert first.mlflow.run_id == filled.runs[0]
    assert first.final is not None
    assert first.final.test_accuracy == 0.50
    assert len(first.epochs) == 3
    assert load_predictions(filled.runs[1]).is_correct == (True, False, False, False) * 3


@pytest.mark.usefixtures("folder")
def test_a_frame_has_a_row_for_each_trial() -> None:
    frame = bb.to_frame(bb.load_records("bench"))
    assert len(frame) == 7
    assert list(frame.groupby("optimizer.lr")["test_accuracy"].mean()) == pytest.approx([0.53, 0.63])
    assert frame["train_seconds"].isna().tolist() == [False] * 6 + [True]
    assert frame.loc[6, "error"] == "train loss became nan in epoch 2"
    assert frame.loc[0, "model"] == "alexnet"
    assert str(frame["started"].dtype).startswith("datetime64")


@pytest.mark.usefixtures("folder")
def test_the_table_in_the_document_is_what_is_printed() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = re.findall(r"^\$ (bench compare .*)\n((?:(?!^\$|^```).*\n)+)", text, re.MULTILINE)
    assert len(shown) >= 2
    for command, output in shown:
        assert lines_of(bench(*command.split()[2:]).stdout) == lines_of(output), f"{command} is out of date"


def test_help_waits_for_no_library() -> None:
    heavy = ["numpy", "scipy", "pandas", "mlflow", "torch", "statsmodels"]
    code = (
        "import sys; from benchbench.cli.main import make_app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(make_app(), ['compare', '--help']).exit_code == 0\n"
        f"assert not set({heavy}) & set(sys.modules), set({heavy}) & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_metric_of_a_trial_with_many_classes_can_be_asked_for() -> None:
    from support.made_records import per_class

    from benchbench.compare.metric_values import values_of

    numbers: dict[str, Any] = values_of(per_class(0.001, 0, [0.5] * len(CLASSES)))
    assert sum(name.startswith("test_accuracy/") for name in numbers) == len(CLASSES)
