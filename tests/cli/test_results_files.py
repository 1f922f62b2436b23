"""``bench compare`` and ``bench report`` of a results file, which is read where it lies."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.made_records import events, spec
from support.stores import Filler
from typer.testing import CliRunner

from benchbench import export_results, import_results, load_records
from benchbench.cli.main import make_app
from benchbench.errors import SpecError
from benchbench.tracking import Store
from benchbench.tracking.run_models import fetch_model

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

QUESTION = ("--by", "optimizer.lr", "--baseline", "optimizer.lr=0.001")


def bench(*words: object) -> Result:
    return CliRunner().invoke(make_app(), list(map(str, words)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A folder with a store of two configurations, and the same in a file."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(empty_database, folder / "mlflow.db")
    with contextlib.chdir(folder):
        store, filler = Store.open(experiment="rates"), Filler(folder / "journals")
        for lr, accuracies in ((0.001, (0.50, 0.52, 0.57)), (0.005, (0.60, 0.63, 0.66))):
            for seed, accuracy in enumerate(accuracies):
                filler.trial(store, events(spec(seed, lr=lr), accuracy), right="1" * 12)
        export_results("results.bench", "rates")
    return folder


def test_a_results_file_is_compared_as_the_experiment_that_it_came_from(exported: Path, workdir: Path) -> None:
    with contextlib.chdir(exported):
        expected = bench("compare", "rates", *QUESTION)
    assert expected.exit_code == 0, expected.output
    file = exported / "results.bench"
    found = bench("compare", file, *QUESTION)
    assert found.exit_code == 0, found.output
    assert found.stdout == expected.stdout.replace("bench report rates", f"bench report {file}")
    assert list(workdir.iterdir()) == []


def test_a_report_is_made_of_a_results_file(exported: Path, workdir: Path) -> None:
    made = bench("report", exported / "results.bench", "-o", "report.html", "--population", *QUESTION)
    assert made.exit_code == 0, made.output
    assert [path.name for path in workdir.iterdir()] == ["report.html"]
    assert "optimizer.lr=0.005 is 10.0 points more accurate" in (workdir / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_runs_of_a_results_file_go_by_the_ids_that_they_had_where_they_were_made(exported: Path, workdir: Path) -> None:
    with contextlib.chdir(exported):
        ids = [record.mlflow.run_id for record in load_records("rates") if record.mlflow]
        expected = bench("compare", "rates", "--models", ids[0], ids[1][:12])
    compared = bench("compare", exported / "results.bench", "--models", ids[0], ids[1][:12])
    assert compared.exit_code == 0, compared.output
    assert compared.stdout == expected.stdout
    bench("report", exported / "results.bench", "-o", "report.html", *QUESTION)
    text = (workdir / "report.html").read_text(encoding="utf-8")
    assert all(f">{run_id[:12]}<" in text for run_id in ids)


def test_the_model_of_an_imported_run_goes_by_the_id_that_the_report_shows(
    exported: Path, empty_database: Path, workdir: Path
) -> None:
    with contextlib.chdir(exported):
        run = load_records("rates")[0].mlflow
    assert run is not None
    shutil.copy(empty_database, "mlflow.db")
    import_results(exported / "results.bench")
    (imported,) = (record for record in load_records("rates") if run.run_id in (record.mlflow or run).ids)
    assert imported.mlflow is not None
    assert json.loads(imported.to_json())["mlflow"].keys() == {"tracking_uri", "experiment_id", "run_id"}
    with pytest.raises(SpecError, match="came with a results file"):
        fetch_model(run.run_id[:12], "rates", workdir, trust=False)


def test_only_the_runs_that_are_named_are_exported(exported: Path, workdir: Path) -> None:
    with contextlib.chdir(exported):
        store = Store.open(experiment="rates")
        one, other = [run.info.run_id for run in store.client.search_runs([store.experiment_id])][:2]
        done = bench("export", "rates", "--run", one, "--run", other, "-o", workdir / "two.bench", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["num_trials"] == 2
    with zipfile.ZipFile(workdir / "two.bench") as archive:
        assert {name.split("/")[1] for name in archive.namelist() if name.startswith("runs/")} == {one, other}


def test_a_results_file_that_is_not_there_is_named(workdir: Path) -> None:
    missing = bench("compare", "nowhere.bench")
    assert missing.exit_code == 2
    assert "there is no file nowhere.bench" in missing.stderr
    assert list(workdir.iterdir()) == []


def test_nothing_is_imported_if_one_of_several_files_is_damaged(exported: Path, workdir: Path) -> None:
    (workdir / "bad.bench").write_bytes(b"no zip")
    result = bench("import", exported / "results.bench", "bad.bench")
    assert result.exit_code == 2
    assert "bad.bench" in result.stderr
    assert sorted(path.name for path in workdir.iterdir()) == ["bad.bench"]


def test_a_run_with_an_odd_file_is_named_by_that_file(exported: Path, workdir: Path) -> None:
    shutil.copytree(exported, workdir / "odd")
    path = next((workdir / "odd").glob("mlruns/*/*/artifacts/record.json")).with_name("spec.toml")
    path.write_text("no = = toml", encoding="utf-8")
    with contextlib.chdir(workdir / "odd"):
        made = bench("report", "rates", "-o", "report.html", *QUESTION)
    assert made.exit_code == 2
    assert "the spec.toml that a run keeps is damaged" in made.stderr
    assert not (workdir / "odd" / "report.html").exists()
