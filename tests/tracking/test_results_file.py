"""Runs that are exported, and imported elsewhere: what arrives, what is there already, and what never travels."""

from __future__ import annotations

import json
import math
import resource
import shutil
import tracemalloc
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import ViewType
from support import journals, made_records

from benchbench import SpecError, export_results, import_results
from benchbench.errors import TrackingError
from benchbench.records import results_file
from benchbench.records.claim import Claim
from benchbench.records.events import Resumed
from benchbench.records.grid_end import GridEnd
from benchbench.records.redaction import without_paths
from benchbench.report import provenance
from benchbench.tracking import Store
from benchbench.tracking.stored_records import load_records

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Run

    from benchbench.tracking.importing import Imported

SECRET = "postgresql://ann:secret@db.example/mlflow"  # noqa: S105 - what must not travel


def folder(path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store of an empty folder, which becomes the working folder."""
    path.mkdir()
    shutil.copy(database, path / "mlflow.db")
    enter(path, monkeypatch)
    return Store.open()


def enter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path)
    monkeypatch.setenv("BENCH_STATE", str(path / ".bench"))


@pytest.fixture
def here(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder with a grid of two trials, and a third that stands alone and failed."""
    store = folder(tmp_path / "here", empty_database, monkeypatch)
    file = tmp_path / "here" / "rates.toml"
    parent = store.open_parent("rates", file=file, question="Which rate?")
    for seed in (0, 1):
        deliver(store, tmp_path, seed, parent=parent)
    deliver(store, tmp_path, 2, parent=None, fails=True)
    GridEnd(store.tracking_uri, parent, "finished", note="**Which rate?**", files={"trials.json": "[]"}).keep()
    store.close_parents()
    return store


def deliver(store: Store, root: Path, seed: int, *, parent: str | None, fails: bool = False) -> None:
    first, *rest = made_records.events(made_records.spec(seed), 0.5 + 0.1 * seed)
    assert first.event == "started"
    first = replace(
        first, data=replace(first.data, source=f"{root}/photos"), plugin_origins={"model": f"{root}/tiny.py"}
    )
    if fails:
        rest = [replace(journals.failed(), error=replace(journals.failed().error, message=f"cannot use {SECRET}"))]
    journal = journals.write_journal(root / "journals", first, *rest)
    journal.set_claim(Claim(store.tracking_uri, "bench", store.experiment_id, parent_run_id=parent, is_open=False))
    journal.artifacts.mkdir()
    provenance.write_provenance(journal)
    (journal.artifacts / "predictions.csv").write_text("image,class,prediction\na,goldfish,bullfrog\n")
    (journal.artifacts / "curves.png").write_bytes(b"png")
    store.deliver(journal)


def move(to: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    """Export what is in the working folder, and import it in another."""
    file = to.parent / "results.bench"
    export_results(file)
    if to.exists():
        enter(to, monkeypatch)
    else:
        folder(to, database, monkeypatch)
    return import_results(file)


def runs(store: Store) -> list[Run]:
    return sorted(
        store.client.search_runs([store.experiment_id], run_view_type=ViewType.ALL), key=lambda run: run.info.start_time
    )


def points(store: Store, run: Run) -> dict[str, list[tuple[int, float, int]]]:
    history = store.client.get_metric_history
    return {
        key: [(point.step, point.value, point.timestamp) for point in history(run.info.run_id, key)]
        for key in run.data.metrics
    }


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
    known = there.known([run.data.tags["benchbench.spec_id"] for run in children])
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


def test_neither_paths_nor_credentials_travel(here: Store, tmp_path: Path) -> None:
    here.client.log_text(runs(here)[0].info.run_id, f"<p>{tmp_path}/photos</p>", "report.html")
    export_results(tmp_path / "results.bench", artifacts="full")
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        texts = [archive.read(name).decode(errors="replace") for name in archive.namelist()]
    assert any("tiny.py" in text for text in texts)
    assert not any(str(tmp_path) in text for text in texts)
    assert not any("secret" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ann/tiny.py", "tiny.py"),
        ("file:///home/ann/tiny.py", "tiny.py"),
        (r"C:\Users\ann\tiny.py", "tiny.py"),
        ('File "/usr/lib/x.py", line 3', 'File "x.py", line 3'),
        ("sqlite:////home/ann/mlflow.db", "mlflow.db"),
        ("/home/ann smith/my (old) photos", "my (old) photos"),
        ('{"uri": "/home/ann smith/photos"}', '{"uri": "photos"}'),
        ('File "/home/ann smith/x.py", line 3', 'File "x.py", line 3'),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("120 images/s, 3 / 4, a/b/c", "120 images/s, 3 / 4, a/b/c"),
    ],
)
def test_of_an_absolute_path_the_last_part_stays(text: str, expected: str) -> None:
    assert without_paths(text) == expected


@pytest.mark.parametrize(
    ("level", "kept"), [("none", set()), ("light", {"predictions.csv"}), ("full", {"predictions.csv", "curves.png"})]
)
def test_files_go_along_as_far_as_asked(here: Store, tmp_path: Path, level: str, kept: set[str]) -> None:
    del here
    export_results(tmp_path / "results.bench", artifacts=level)  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    assert "record.json" in names
    assert names & {"predictions.csv", "curves.png"} == kept


def test_a_run_that_is_named_comes_with_its_grid(here: Store, tmp_path: Path) -> None:
    child = next(run for run in runs(here) if "mlflow.parentRunId" in run.data.tags)
    made = export_results(tmp_path / "results.bench", runs=[child.info.run_id[:8]])
    assert (made.num_trials, made.num_grids) == (1, 1)
    with pytest.raises(TrackingError, match="no run of the experiment has the id feedbeef"):
        export_results(tmp_path / "none.bench", runs=["feedbeef"])
    assert not (tmp_path / "none.bench").exists()


def test_what_is_no_results_file_is_said_so(workdir: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        import_results("none.bench")
    (workdir / "text.bench").write_text("text")
    with pytest.raises(SpecError, match=r"text\.bench is no results file"):
        import_results("text.bench")
    manifest = {"format": 2, "benchbench": "9.0"}
    for name, text in (("empty.bench", None), ("later.bench", json.dumps(manifest)), ("odd.bench", "[]")):
        with zipfile.ZipFile(name, "w") as archive:
            if text is not None:
                archive.writestr(results_file.MANIFEST, text)
    with pytest.raises(SpecError, match=r"manifest\.json is missing"):
        import_results("empty.bench")
    with pytest.raises(SpecError, match="is of format 2, and this benchbench reads format 1"):
        import_results("later.bench")
    with pytest.raises(SpecError, match="the manifest cannot be read"):
        import_results("odd.bench")
    assert not (workdir / "mlflow.db").exists()


def test_a_record_of_another_version_is_told_of_before_anything_is_written(workdir: Path) -> None:
    run = {"run_id": "1", "name": "old", "status": "FINISHED", "started_ms": 0}
    manifest = {"format": 1, "benchbench": "0.0.9", "experiment": "bench", "runs": [run]}
    with zipfile.ZipFile("old.bench", "w") as archive:
        archive.writestr(results_file.MANIFEST, json.dumps(manifest))
        archive.writestr("runs/1/artifacts/record.json", '{"format": 1}')
    with pytest.raises(SpecError, match=r"old\.bench: .*record\.json is of format 1, and this") as caught:
        import_results("old.bench")
    assert caught.value.hint == "benchbench 0.0.9 wrote the file"
    assert not (workdir / "mlflow.db").exists()


def test_a_name_in_the_archive_that_leads_out_of_it_is_refused(here: Store, tmp_path: Path) -> None:
    run_id = runs(here)[1].info.run_id
    with zipfile.ZipFile(tmp_path / "bad.bench", "w") as archive:
        archive.writestr(f"runs/{run_id}/artifacts/../../out.txt", "text")
        archive.writestr(
            results_file.MANIFEST, json.dumps({"format": 1, "benchbench": "0", "experiment": "bench", "runs": []})
        )
    with results_file.read(tmp_path / "bad.bench") as reader, pytest.raises(SpecError, match="unsafe name"):
        reader.unpack(run_id, "artifacts", tmp_path / "unpacked")
    assert not (tmp_path / "out.txt").exists()


def test_an_archive_that_unpacks_to_more_than_a_disk_is_refused(
    here: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    export_results(tmp_path / "results.bench")
    monkeypatch.setattr(results_file, "MAX_BYTES", 1000)
    with (
        pytest.raises(SpecError, match="unpacks to 0 GB, more than the 0 that are read"),
        results_file.read(tmp_path / "results.bench"),
    ):
        pass


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
        parent = here.open_parent("rates", file=tmp_path / name / "rates.toml", question="")
        here.client.set_terminated(parent)
    export_results(tmp_path / "results.bench")
    assert import_results(tmp_path / "results.bench") == (0, 6, ())
    assert move(tmp_path / "there", empty_database, monkeypatch)[:2] == (6, 0)
    assert len([run for run in runs(Store.open()) if run.data.tags.get("benchbench.grid") == "rates"]) == 3


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
    assert Store.open().known(ids).finished == {}
    import_results(tmp_path / "results.bench")
    assert len(Store.open().known(ids).finished) == 2


def test_credentials_in_a_parameter_stay_at_home(here: Store, tmp_path: Path) -> None:
    spec = made_records.spec(9)
    dataset = replace(spec.dataset, params=spec.dataset.params | {"url": "https://ann:secret@example.org/x.zip"})
    first, *rest = made_records.events(replace(spec, dataset=dataset))
    journal = journals.write_journal(tmp_path / "journals", first, *rest)
    journal.set_claim(Claim(here.tracking_uri, "bench", here.experiment_id, is_open=False))
    journal.artifacts.mkdir()
    provenance.write_provenance(journal)
    here.deliver(journal)
    export_results(tmp_path / "results.bench", artifacts="full")
    with zipfile.ZipFile(tmp_path / "results.bench") as archive:
        texts = [archive.read(name).decode(errors="replace") for name in archive.namelist()]
    assert any("example.org/x.zip" in text for text in texts)
    assert not any("secret" in text for text in texts)


def test_where_a_model_lay_stays_at_home(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text(f"artifact_path: {tmp_path}/mlruns/1/models/m-1/artifacts\nrun_id: 1\n")
    with zipfile.ZipFile(tmp_path / "one.bench", "w") as archive:
        results_file.Writer(archive).model("1", tmp_path / "model")
        assert archive.read("runs/1/model/MLmodel").decode() == "artifact_path: artifacts\nrun_id: 1\n"


def test_a_file_is_unpacked_block_by_block(here: Store, tmp_path: Path) -> None:
    run_id = runs(here)[1].info.run_id
    export_results(tmp_path / "results.bench")
    with zipfile.ZipFile(tmp_path / "results.bench", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"runs/{run_id}/model/weights", bytes(50_000_000))
    tracemalloc.start()
    with results_file.read(tmp_path / "results.bench") as reader:
        reader.unpack(run_id, "model", tmp_path / "unpacked")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "unpacked" / "weights").stat().st_size == 50_000_000
    assert peak < 20_000_000


def test_a_full_disk_leaves_no_results_file_and_is_said_so(here: Store, tmp_path: Path) -> None:
    del here
    export_results(tmp_path / "whole.bench")
    num_bytes = (tmp_path / "whole.bench").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes - 1, hard))
    try:
        with pytest.raises(SpecError, match=r"results\.bench cannot be written: File too large"):
            export_results(tmp_path / "results.bench")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.glob("*.bench")] == ["whole.bench"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_trial_that_left_no_record_is_counted(here: Store, tmp_path: Path) -> None:
    for run in runs(here):
        shutil.rmtree(run.info.artifact_uri.removeprefix("file://"), ignore_errors=True)
    made = export_results(tmp_path / "results.bench")
    assert made.notes == ("3 trial(s) left no record, and no comparison can use them",)
