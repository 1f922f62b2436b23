"""Runs that were exported and are imported elsewhere: what arrives, and what is there already."""

from __future__ import annotations

import math
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND
from support import journals, made_records
from support.results_folders import enter, folder, move, points, runs
from support.stores import Filler

from benchbench import SpecError, export_results, import_results
from benchbench.config.design import Design, Designs
from benchbench.driver import provenance
from benchbench.records.claim import Claim
from benchbench.records.events import Resumed
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.tracking import Store
from benchbench.tracking.grid_runs import designs_of, find_designs, find_parent
from benchbench.tracking.stored_records import load_records, read_experiment


def test_what_arrives_is_what_was_there(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_records()
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (4, 0)
    after, there = load_records(), Store.open()
    assert [record.spec_id for record in after] == [record.spec_id for record in before]
    assert [(record.attempt, record.status, record.epochs, record.times) for record in after] == [
        (record.attempt, record.status, record.epochs, record.times) for record in before
    ]
    for old, new in zip(runs(here), runs(there), strict=True):
        assert (new.info.status, new.info.start_time, new.info.end_time, new.info.run_name) == (
            old.info.status,
            old.info.start_time,
            old.info.end_time,
            old.info.run_name,
        )
        assert new.data.params == old.data.params
        assert points(there, new) == points(here, old)
        assert len(new.inputs.dataset_inputs) == len(old.inputs.dataset_inputs)


def test_trials_stay_below_their_grid_and_count_as_done(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    move(tmp_path / "there", empty_database, monkeypatch)
    there = Store.open()
    (parent,) = [run for run in runs(there) if "benchbench.grid" in run.data.tags]
    children = [run for run in runs(there) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 2
    assert [item.path for item in there.client.list_artifacts(parent.info.run_id)] == ["trials.json"]
    known = there.find_known_runs([run.data.tags["benchbench.spec_id"] for run in children])
    assert len(known.finished) == 2


def test_importing_twice_is_once(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    move(tmp_path / "there", empty_database, monkeypatch)
    assert import_results(tmp_path / "results.bench") == (0, 4, ())
    assert len(runs(Store.open())) == 4


def test_a_folder_that_has_the_trials_itself_takes_none(here: Store, tmp_path: Path) -> None:
    export_results(tmp_path / "results.bench")
    assert import_results(tmp_path / "results.bench") == (0, 4, ())
    assert len(runs(here)) == 4


def test_an_import_that_was_interrupted_goes_on(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [points(here, run) for run in runs(here)]
    move(tmp_path / "there", empty_database, monkeypatch)
    there = Store.open()
    cut = runs(there)[1]
    there.client.set_tag(cut.info.run_id, "benchbench.import", "unfinished")
    there.client.update_run(cut.info.run_id, status="RUNNING")
    assert read_experiment().without_record == (cut.info.run_id,)
    assert import_results(tmp_path / "results.bench") == (1, 3, ())
    assert [points(there, run) for run in runs(there)] == expected
    assert all(run.info.status != "RUNNING" for run in runs(there))
    assert all("benchbench.import" not in run.data.tags for run in runs(there))


def test_a_trial_that_is_there_with_other_results_is_named_and_left(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    move(tmp_path / "there", empty_database, monkeypatch)
    file, changed = tmp_path / "results.bench", tmp_path / "changed.bench"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, text.replace(b'"test_accuracy",0.6,', b'"test_accuracy",0.9,'))
    before = load_records()
    ((clash,),) = (import_results(changed).clashes,)
    assert "is here with another test_accuracy: it is left as it is" in clash
    assert load_records() == before


def timing(store: Store) -> str:
    """Make the run of a timing and return its id."""
    run_id = str(store.client.create_run(store.experiment_id, tags={"benchbench.kind": "time"}).info.run_id)
    store.client.set_terminated(run_id)
    return run_id


def test_a_timing_that_comes_back_by_way_of_another_store_is_the_one_that_is_there(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing(here)
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (5, 0)
    assert move(tmp_path / "third", empty_database, monkeypatch)[:2] == (5, 0)
    enter(tmp_path / "here", monkeypatch)
    assert import_results(tmp_path / "results.bench")[:2] == (0, 5)
    export_results(tmp_path / "first.bench")
    enter(tmp_path / "third", monkeypatch)
    assert import_results(tmp_path / "first.bench")[:2] == (0, 5)


def test_two_grids_of_one_name_in_two_folders_stay_two(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob"):
        parent = here.open_parent("rates", file=tmp_path / name / "rates.toml", headline="")
        here.client.set_terminated(parent)
    export_results(tmp_path / "results.bench")
    assert import_results(tmp_path / "results.bench") == (0, 6, ())
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (6, 0)
    assert len([run for run in runs(Store.open()) if run.data.tags.get("benchbench.grid") == "rates"]) == 3


def export_grid(store: Store, file: Path, text: str | None, design: Design | None = None) -> Path:
    """Run a grid of no trials in the working folder, and export it."""
    parent = store.open_parent("rates", file=Path("rates.toml"), headline="", design=design)
    files = {} if text is None else {"grid.toml": text}
    GridEnd(store.tracking_uri, parent, "finished", note="", files=files).keep()
    store.close_parents()
    export_results(file)
    return file


def test_grids_of_one_file_name_are_one_only_if_they_ask_the_same_by_the_same_design(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (Design(tuple(range(number)), (3, number), 2) for number in (5, 9))
    asked = {
        "ann": ("epochs = 3", few),
        "ann's other machine": ("epochs = 3", few),
        "dan, without files": (None, few),
        "eve, without files": (None, few),
        "bob": ("epochs = 3", many),
        "cid": ("epochs = 5", few),
    }
    files = [
        export_grid(folder(tmp_path / name, empty_database, monkeypatch), tmp_path / f"{name}.bench", *grid)
        for name, grid in asked.items()
    ]
    there = folder(tmp_path / "there", empty_database, monkeypatch)
    assert [import_results(file)[:2] for file in files] == [(1, 0), (0, 1), *[(1, 0)] * 4]
    assert [designs_of(run).current for run in runs(there)] == [few, few, few, many, few]
    assert [import_results(file)[:2] for file in files] == [(0, 1)] * 6


def test_a_grid_whose_file_was_changed_is_the_one_that_was_imported_before(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = folder(tmp_path / "here", empty_database, monkeypatch)
    first, second = (Design(tuple(range(number)), (3, number), 2) for number in (5, 9))
    weeks = [
        export_grid(here, tmp_path / "week1.bench", "epochs = 3", first),
        export_grid(here, tmp_path / "week2.bench", "epochs = 5", second),
    ]
    there = folder(tmp_path / "there", empty_database, monkeypatch)
    assert [import_results(file)[:2] for file in weeks] == [(1, 0), (1, 0)]
    (run,) = runs(there)
    assert designs_of(run) == Designs(second, (first,))
    assert there.client.list_artifacts(run.info.run_id)


@pytest.fixture
def imported(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder into which the grid rates of another one was imported, whose trials have three epochs."""
    asked = folder(tmp_path / "ann", empty_database, monkeypatch)
    file = export_grid(asked, tmp_path / "ann.bench", "epochs = 3", Design((0, 1), (2,), 2))
    store = folder(tmp_path / "bob", empty_database, monkeypatch)
    assert import_results(file)[:2] == (1, 0)
    return store


def test_a_grid_goes_on_with_an_imported_one_only_if_their_files_are_equal(imported: Store) -> None:
    (theirs,) = runs(imported)
    file = Path("rates.toml")
    file.write_text("epochs = 5", encoding="utf-8")
    ours = imported.open_parent("rates", file=file, headline="")
    assert ours != theirs.info.run_id
    assert find_parent([], imported.experiment_id, name="rates", file=file) == ours
    assert imported.client.get_run(theirs.info.run_id).to_dictionary() == theirs.to_dictionary()


def test_a_grid_that_went_on_with_an_imported_one_is_the_same_after_its_file_was_changed(imported: Store) -> None:
    (theirs,) = runs(imported)
    file = Path("rates.toml")
    for text in ("epochs = 3", "epochs = 5"):
        file.write_text(text, encoding="utf-8")
        assert imported.open_parent("rates", file=file, headline="") == theirs.info.run_id


def test_a_grid_keeps_its_design_when_another_of_its_name_is_imported(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (Design(tuple(range(number)), (3, number), 2) for number in (5, 9))
    (ours,) = [run.info.run_id for run in runs(here) if "benchbench.grid" in run.data.tags]
    there = folder(tmp_path / "there", empty_database, monkeypatch)
    file = export_grid(there, tmp_path / "there.bench", "epochs = 5", many)
    enter(tmp_path / "here", monkeypatch)
    assert here.open_parent("rates", file=Path("rates.toml"), headline="", design=few) == ours
    import_results(file)
    assert find_designs("bench", name="rates", file=Path("rates.toml")).current == few
    assert here.open_parent("rates", file=Path("rates.toml"), headline="", design=few) == ours


def test_trials_that_came_before_their_grid_had_ended_are_put_below_it(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parent,) = [run.info.run_id for run in runs(here) if "benchbench.grid" in run.data.tags]
    here.client.update_run(parent, status="RUNNING")
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (3, 0)
    enter(tmp_path / "here", monkeypatch)
    here.client.set_terminated(parent)
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (1, 3)
    there = Store.open()
    (parent,) = [run.info.run_id for run in runs(there) if "benchbench.grid" in run.data.tags]
    assert sum(run.data.tags.get("mlflow.parentRunId") == parent for run in runs(there)) == 2


def test_a_trial_that_was_interrupted_when_it_was_imported_is_brought_up_to_date(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, epoch, *rest = made_records.events(made_records.spec(5), 0.9)
    assert first.event == "started"
    killed = replace(journals.failed(), status="killed", timestamp_ms=first.timestamp_ms + 500)
    resumed = Resumed(num_epochs=1, machine=journals.MACHINE, timestamp_ms=first.timestamp_ms + 700)
    journal = journals.write_journal(tmp_path / "journals", first, epoch, killed)
    journal.set_claim(Claim(here.tracking_uri, "bench", here.experiment_id, is_open=False))
    journal.artifacts.mkdir()
    provenance.write_provenance(journal)
    here.deliver(journal)
    move(tmp_path / "there", empty_database, monkeypatch)
    shutil.copy(tmp_path / "results.bench", tmp_path / "earlier.bench")
    enter(tmp_path / "here", monkeypatch)
    for event in (resumed, *(replace(each, timestamp_ms=first.timestamp_ms + 5000) for each in rest)):
        journal.append(event)
    provenance.write_provenance(journal)
    here.deliver(journal)
    export_results(tmp_path / "results.bench")
    enter(tmp_path / "there", monkeypatch)
    assert import_results(tmp_path / "results.bench") == (1, 4, ())
    (record,) = [record for record in load_records() if record.attempt == journal.attempt]
    assert (record.status, len(record.epochs)) == ("finished", 3)
    assert record.final is not None
    assert record.final.test_accuracy == 0.9
    assert import_results(tmp_path / "results.bench") == (0, 5, ())
    assert import_results(tmp_path / "earlier.bench") == (0, 5, ()), "what was exported before is no other result"
    assert record in load_records()


def test_a_trial_that_was_interrupted_here_is_brought_up_to_date_from_a_copy_of_the_folder(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = folder(tmp_path / "laptop", empty_database, monkeypatch)
    first, epoch, *rest = made_records.events(made_records.spec(5), 0.9)
    killed = replace(journals.failed(status="killed"), timestamp_ms=first.timestamp_ms + 500)
    Filler(tmp_path / "journals").trial(store, [first, epoch, killed])
    shutil.copytree(tmp_path / "laptop", tmp_path / "server")
    enter(tmp_path / "server", monkeypatch)
    (journal,) = map(Journal, (tmp_path / "journals").iterdir())
    for event in (journals.resumed(1), *(replace(each, timestamp_ms=first.timestamp_ms + 5000) for each in rest)):
        journal.append(event)
    copied = Store.open()
    journal.set_claim(Claim(copied.tracking_uri, "bench", copied.experiment_id, is_open=False))
    provenance.write_provenance(journal)
    copied.deliver(journal)
    assert move(tmp_path / "laptop", empty_database, monkeypatch) == (1, 0, ())
    (record,) = load_records()
    assert record.final is not None
    assert record.final.test_accuracy == 0.9
    assert import_results(tmp_path / "results.bench") == (0, 1, ())


def test_losses_that_are_no_numbers_and_a_second_wall_clock_are_no_other_results(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in runs(here):
        if "benchbench.attempt" in run.data.tags:
            here.client.log_metric(run.info.run_id, "test_loss", math.nan, timestamp=2**41, step=9)
            here.client.log_metric(run.info.run_id, "time/wall_seconds", 100.0, timestamp=2**40, step=1)
            here.client.log_metric(run.info.run_id, "time/wall_seconds", 50.0, timestamp=2**41, step=9)
    move(tmp_path / "there", empty_database, monkeypatch)
    assert import_results(tmp_path / "results.bench") == (0, 4, ())


def test_a_trial_that_came_in_half_is_not_done(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_results(tmp_path / "results.bench")
    damaged = tmp_path / "damaged.bench"
    with zipfile.ZipFile(tmp_path / "results.bench") as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    damaged.write_bytes(damaged.read_bytes().replace(b"a,goldfish,bullfrog", b"a,goldfish,goldfish", 1))
    ids = {run.data.tags.get("benchbench.spec_id", "") for run in runs(here)}
    folder(tmp_path / "there", empty_database, monkeypatch)
    with pytest.raises(SpecError, match=r"predictions\.csv cannot be read"):
        import_results(damaged)
    assert Store.open().find_known_runs(ids).finished == {}
    import_results(tmp_path / "results.bench")
    assert len(Store.open().find_known_runs(ids).finished) == 2


def test_a_server_that_knows_no_models_of_their_own_is_exported_from_and_imported_into(
    here: Store, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 404", error_code=ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(MlflowClient, "search_logged_models", unknown)
    first, second = [run.info.run_id for run in runs(here) if run.data.params][:2]
    here.client.log_text(first, f"artifact_path: {tmp_path}/model", "model/MLmodel")  # as such a server keeps it
    export_results(tmp_path / "results.bench", artifacts="full")
    with zipfile.ZipFile(tmp_path / "results.bench", "a") as archive:
        assert archive.read(f"runs/{first}/artifacts/model/MLmodel") == b"artifact_path: model"
        archive.writestr(f"runs/{second}/model/MLmodel", "artifact_path: model")
    there = folder(tmp_path / "there", empty_database, monkeypatch)
    assert import_results(tmp_path / "results.bench")[:2] == (4, 0)
    paths = [{item.path for item in there.client.list_artifacts(run.info.run_id)} for run in runs(there)]
    assert sum("model" in each for each in paths) == 2
