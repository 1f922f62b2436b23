"""The tracker against real MLflow: what is sent is read back through MLflow's own client."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import torch
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND
from support import journals
from support.classifiers import classifier
from torch import nn

from benchbench.config.spec import PluginSpec
from benchbench.driver.provenance import write_provenance
from benchbench.errors import TrackingError
from benchbench.records.claim import Claim
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.tracking import Store, is_delivered
from benchbench.tracking.client import make_database
from benchbench.tracking.stored_records import read_experiment
from benchbench.worker.model_export import save_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from benchbench.records.record import MlflowRun


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A finished trial of three epochs with a table and a figure, under an attempt of its own."""
    events = [journals.epoch(number) for number in (1, 2, 3)]
    journal = journals.write_journal(tmp_path, journals.started(tmp_path.name), *events, journals.finished())
    (journal.artifacts / "figures").mkdir(parents=True)
    (journal.artifacts / "per_class.csv").write_text("class\ngoldfish\n", encoding="utf-8")
    (journal.artifacts / "figures" / "curves.png").write_bytes(b"png")
    return journal


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()


@pytest.fixture(scope="module")
def model_folder(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    assert save_model(folder, network, torch.randn(2, 3, 8, 8), classifier(journals.CLASSES)) is None
    return folder


def everything(client: MlflowClient, run: MlflowRun, attempt: str) -> dict[str, object]:
    """Return all that MLflow has of an attempt, in a form that can be compared."""
    found = client.search_runs([run.experiment_id], f"tags.`benchbench.attempt` = '{attempt}'", ViewType.ALL)
    models = client.search_logged_models([run.experiment_id], f"tags.`benchbench.attempt` = '{attempt}'")
    data = client.get_run(run.run_id).to_dictionary()
    return {
        "runs": [item.info.run_id for item in found],
        "run": {key: data[key] for key in ("data", "inputs", "outputs")},
        "end": (data["info"]["status"], data["info"]["end_time"]),
        "points": {
            key: [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run.run_id, key)]
            for key in data["data"]["metrics"]
        },
        "files": sorted(walk(client, run.run_id)),
        "models": [(model.model_id, model.status, len(model.metrics)) for model in models],
    }


def walk(client: MlflowClient, run_id: str, folder: str = "") -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder or None):
        if item.is_dir:
            yield from walk(client, run_id, item.path)
        else:
            yield item.path


def test_the_whole_spec_is_kept_as_params(store: Store, journal: Journal) -> None:
    params = store.client.get_run(store.deliver(journal).run_id).data.params
    assert params["model"] == "alexnet"
    assert params["optimizer.lr"] == "0.001"
    assert params["optimizer.nesterov"] == "false"
    assert params["model.num_classes"] == "none"
    assert params["dataset.mean"] == "[0.5]"
    assert set(params) == set(journals.SPEC.flat())


def test_the_facts_of_the_machine_are_tags(store: Store, journal: Journal) -> None:
    run = store.client.get_run(store.deliver(journal).run_id)
    assert run.info.run_name == "alexnet-sgd-squares-s7"
    wanted = {
        "benchbench.attempt": journal.folder.name,
        "benchbench.spec_id": journals.SPEC.id,
        "benchbench.data_digest": "d" * 64,
        "benchbench.device": "cpu",
        "benchbench.host": "testhost",
        "benchbench.num_threads": "2",
        "benchbench.version.torch": "2.14.1",
        "benchbench.acceleration.compile": "off",
        "benchbench.plugin.model": "benchbench:alexnet",
        "benchbench.source.model": "a" * 64,
        "benchbench.status": "finished",
        "mlflow.source.git.commit": "0123456789abcdef",
        "mlflow.source.name": "bench",
    }
    assert wanted.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.note.content"].splitlines() == [
        "`alexnet` trained on `squares` with `sgd` for 3 epochs in batches of 12, seed 7.",
        "",
        "Accuracy: 75.0% on the test images, 80.0% by validation.",
        "",
        "a note",
    ]


def test_each_epoch_is_one_step_of_every_metric(store: Store, journal: Journal) -> None:
    run = store.deliver(journal)
    history = store.client.get_metric_history(run.run_id, "val_loss")
    assert [(point.step, point.value, point.timestamp) for point in history] == [
        (number, 2.2 / number, journals.START_MS + 1000 * number) for number in (1, 2, 3)
    ]
    metrics = store.client.get_run(run.run_id).data.metrics
    for name in ("train_loss", "train_accuracy", "val_accuracy", "epoch/train_seconds", "epoch/eval_seconds"):
        assert name in metrics
    assert metrics["epoch/images_per_second"] == 800
    assert "train_seconds" not in metrics  # which comparisons say of the whole trial
    assert metrics["learning_rate"] == 0.001
    assert metrics["system/cpu_utilization_percentage"] == 93


def test_what_the_trained_model_reaches_is_kept_once_at_the_last_step(store: Store, journal: Journal) -> None:
    run = store.deliver(journal)
    metrics = store.client.get_run(run.run_id).data.metrics
    wanted = {
        "final_train_accuracy": 0.9,
        "final_val_accuracy": 0.8,
        "test_accuracy": 0.75,
        "test_loss": 0.7,
        "test_top5_accuracy": 1.0,
        "best_val_loss_epoch": 3,
        "time/train_seconds": 4.5,
        "time/wall_seconds": 6.5,
        "test_accuracy/goldfish": 0,
        "test_accuracy/Persian_cat": 2 / 3,
    }
    assert wanted.items() <= metrics.items()
    assert "overfit_epoch" not in metrics
    (point,) = store.client.get_metric_history(run.run_id, "test_accuracy")
    assert (point.step, point.timestamp) == (3, journals.START_MS + 10_000)


def test_a_finished_trial_is_a_finished_run_that_ended_when_it_did(store: Store, journal: Journal) -> None:
    info = store.client.get_run(store.deliver(journal).run_id).info
    assert (info.status, info.start_time, info.end_time) == ("FINISHED", journals.START_MS, journals.START_MS + 10_000)


def test_every_split_is_a_dataset_input_with_its_digest(store: Store, journal: Journal) -> None:
    inputs = store.client.get_run(store.deliver(journal).run_id).inputs.dataset_inputs
    found = {item.tags[0].value: item.dataset for item in inputs}
    assert {context: dataset.digest for context, dataset in found.items()} == {
        "train": "t" * 36,
        "val": "v" * 36,
        "test": "t" * 36,
    }
    assert found["val"].name == "squares"
    assert '"num_images": 20' in found["val"].profile
    assert "squares.zip" in found["val"].source


def test_files_lie_in_the_run_as_they_lie_in_the_journal(store: Store, journal: Journal, tmp_path: Path) -> None:
    run = store.deliver(journal)
    assert sorted(walk(store.client, run.run_id)) == ["figures/curves.png", "per_class.csv"]
    copy = Path(store.client.download_artifacts(run.run_id, "per_class.csv", str(tmp_path)))
    assert copy.read_text(encoding="utf-8") == "class\ngoldfish\n"


@pytest.mark.parametrize("address", ["models:/{model_id}", "runs:/{run_id}/model"])
def test_the_model_loads_back_and_predicts_the_same_at_any_batch_size(
    store: Store,
    journal: Journal,
    model_folder: Path,
    network: nn.Module,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow.pytorch

    shutil.copytree(model_folder, journal.artifacts / "model")
    run = store.deliver(journal)
    (output,) = store.client.get_run(run.run_id).outputs.model_outputs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", run.tracking_uri)
    uri = address.format(model_id=output.model_id, run_id=run.run_id)
    model = mlflow.pytorch.load_model(uri)
    for batch_size in (1, 3, 7):
        images = torch.randn(batch_size, 3, 8, 8)
        torch.testing.assert_close(model(images), network(images))
    told = mlflow.pyfunc.load_model(uri).predict(np.zeros((3, 8, 8, 3), dtype=np.uint8))
    assert set(told["prediction"]) <= set(journals.CLASSES)
    assert mlflow.models.get_model_info(uri).signature.outputs.input_names() == list(told)


def test_the_model_knows_its_run_and_its_metrics(store: Store, journal: Journal, model_folder: Path) -> None:
    shutil.copytree(model_folder, journal.artifacts / "model")
    run = store.deliver(journal)
    (output,) = store.client.get_run(run.run_id).outputs.model_outputs
    model = store.client.get_logged_model(output.model_id)
    assert (model.name, model.source_run_id, model.status) == ("model", run.run_id, "READY")
    assert model.params["optimizer.lr"] == "0.001"
    assert {metric.key: metric.value for metric in model.metrics}["test_accuracy"] == 0.75
    description = Path(model.artifact_location, "MLmodel").read_text(encoding="utf-8")
    assert f"model_id: {output.model_id}" in description
    assert f"run_id: {run.run_id}" in description
    assert "model/MLmodel" not in set(walk(store.client, run.run_id))


def test_nothing_arrives_twice_however_often_and_by_whomever_it_is_delivered(
    store: Store, database: str, journal: Journal, model_folder: Path
) -> None:
    shutil.copytree(model_folder, journal.artifacts / "model")
    run = store.deliver(journal)
    once = everything(store.client, run, journal.folder.name)
    assert len(once["runs"]) == len(once["models"]) == 1
    assert store.deliver(journal) == run
    assert Store.open(database).deliver(journal) == run
    (journal.folder / "mlflow.json").unlink()
    assert Store.open(database).deliver(journal) == run
    assert everything(store.client, run, journal.folder.name) == once


def test_an_interrupted_delivery_is_completed_by_the_next(
    store: Store, database: str, journal: Journal, model_folder: Path
) -> None:
    shutil.copytree(model_folder, journal.artifacts / "model")
    description = journal.artifacts / "model" / "MLmodel"
    text = description.read_text(encoding="utf-8")
    description.write_text("[ broken", encoding="utf-8")
    with pytest.raises(TrackingError):
        store.deliver(journal)
    assert not is_delivered(journal)
    description.write_text(text, encoding="utf-8")
    run = Store.open(database).deliver(journal)
    found = everything(store.client, run, journal.folder.name)
    assert found["end"] == ("FINISHED", journals.START_MS + 10_000)
    assert [(status, num_metrics) for _, status, num_metrics in found["models"]] == [("READY", 11)]
    assert len(found["runs"]) == 1


def test_a_growing_journal_is_followed_event_by_event(store: Store, tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(tmp_path.name))
    run = store.deliver(journal)
    assert store.client.get_run(run.run_id).info.status == "RUNNING"
    assert journal.mlflow_run() == run
    for number in (1, 2):
        journal.append(journals.epoch(number))
        assert store.deliver(journal) == run
        assert len(store.client.get_metric_history(run.run_id, "train_loss")) == number
    assert not is_delivered(journal)
    journal.append(journals.finished())
    store.deliver(journal)
    assert store.client.get_run(run.run_id).info.status == "FINISHED"
    assert is_delivered(journal)


def test_a_file_that_is_added_after_the_end_is_delivered_too(store: Store, journal: Journal) -> None:
    run = store.deliver(journal)
    assert is_delivered(journal)
    (journal.artifacts / "record.json").write_text("{}", encoding="utf-8")
    assert not is_delivered(journal)
    store.deliver(journal)
    assert "record.json" in set(walk(store.client, run.run_id))
    assert is_delivered(journal)


def test_what_was_delivered_stays_so_when_its_files_are_deleted_and_not_when_it_goes_on(
    store: Store, journal: Journal
) -> None:
    store.deliver(journal)
    shutil.rmtree(journal.artifacts)
    assert is_delivered(journal)
    journal.append(journals.epoch(4))
    assert not is_delivered(journal)


@pytest.mark.parametrize(("status", "expected"), [("failed", "FAILED"), ("killed", "KILLED")])
def test_an_unfinished_trial_keeps_its_curve_and_says_why(
    store: Store, tmp_path: Path, status: str, expected: str
) -> None:
    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.failed(status=status)
    )
    run = store.client.get_run(store.deliver(journal).run_id)
    assert (run.info.status, run.info.end_time) == (expected, journals.START_MS + 9_000)
    assert run.data.metrics["train_loss"] == 2.0
    assert run.data.metrics["time/wall_seconds"] == 3.5
    assert run.data.tags["benchbench.status"] == status
    assert run.data.tags["benchbench.error"] == "NonFiniteLossError: train loss became nan in epoch 2"
    assert "a lower --lr helps" in run.data.tags["mlflow.note.content"]


def test_a_model_that_a_killed_worker_left_half_written_keeps_nothing_else_from_arriving(
    store: Store, tmp_path: Path
) -> None:
    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.failed(status="failed")
    )
    (journal.artifacts / "model" / "data").mkdir(parents=True)
    (journal.artifacts / "model" / "data" / "model.pt2").write_bytes(b"the beginning")
    (journal.artifacts / "record.json").write_text("{}", encoding="utf-8")
    run = store.client.get_run(store.deliver(journal).run_id)
    assert run.info.status == "FAILED"
    assert sorted(walk(store.client, run.info.run_id)) == ["record.json"]
    assert is_delivered(journal)


def test_a_resumed_trial_runs_and_finishes_in_the_same_run(store: Store, database: str, tmp_path: Path) -> None:
    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.failed(status="killed")
    )
    run = store.deliver(journal)
    journal.append(journals.epoch(2))
    journal.append(journals.finished())
    assert Store.open(database).deliver(journal) == run
    found = store.client.get_run(run.run_id)
    assert (found.info.status, found.info.end_time) == ("FINISHED", journals.START_MS + 10_000)
    assert found.data.tags["benchbench.error"] == ""
    note = found.data.tags["mlflow.note.content"]
    assert note.endswith("a note")
    assert "NonFiniteLossError" not in note


def test_the_times_of_an_interrupted_trial_stand_at_the_epoch_that_it_had_reached(
    store: Store, database: str, tmp_path: Path
) -> None:
    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.failed(status="killed")
    )
    run = store.deliver(journal)
    for event in (journals.epoch(2), journals.epoch(3), journals.finished()):
        journal.append(event)
    Store.open(database).deliver(journal)
    points = store.client.get_metric_history(run.run_id, "time/wall_seconds")
    assert [(point.step, point.value) for point in points] == [(1, 3.5), (3, 6.5)]


def test_files_that_are_being_written_are_not_sent(store: Store, journal: Journal) -> None:
    (journal.artifacts / ".record.json.abcdef01.partial").write_bytes(b"{")
    run = store.deliver(journal)
    assert not any(name.endswith(".partial") for name in walk(store.client, run.run_id))
    assert is_delivered(journal)


def test_losses_that_are_no_numbers_are_kept_as_such_and_only_once(store: Store, database: str, tmp_path: Path) -> None:
    endless = replace(journals.epoch(3), epoch=replace(journals.epoch(3).epoch, train_loss=float("inf")))
    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.NAN_EPOCH, endless, journals.failed()
    )
    run = store.deliver(journal)
    Store.open(database).deliver(journal)
    values = [point.value for point in store.client.get_metric_history(run.run_id, "val_loss")]
    assert [value != value for value in values] == [False, True, False]  # noqa: PLR0124 - NaN alone differs from itself
    assert len(store.client.get_metric_history(run.run_id, "train_loss")) == 3


def test_a_run_that_was_deleted_stays_deleted(store: Store, database: str, journal: Journal) -> None:
    run = store.deliver(journal)
    store.client.delete_run(run.run_id)
    assert Store.open(database).deliver(journal) == run
    (journal.folder / "mlflow.json").unlink()
    assert Store.open(database).deliver(journal) == run
    assert store.client.get_run(run.run_id).info.lifecycle_stage == "deleted"


def test_a_trial_with_two_runs_of_which_one_was_deleted_is_not_deleted(store: Store, journal: Journal) -> None:
    run = store.client.get_run(store.deliver(journal).run_id)
    second = store.client.create_run(store.experiment_id, tags=run.data.tags)
    store.client.delete_run(second.info.run_id)
    assert store.find_known_runs([journals.SPEC.id]).deleted_attempts == frozenset()
    store.client.delete_run(run.info.run_id)
    assert store.find_known_runs([journals.SPEC.id]).deleted_attempts == {journal.attempt}


@pytest.mark.parametrize("tag", ["benchbench.data_digest", "benchbench.spec_id"])
def test_a_run_that_lost_a_tag_is_passed_over(store: Store, journal: Journal, tag: str) -> None:
    store.client.delete_tag(store.deliver(journal).run_id, tag)
    more_than_a_few = [journals.SPEC.id, *map(str, range(30))]
    for spec_ids in ([journals.SPEC.id], more_than_a_few):
        assert store.find_known_runs(spec_ids).finished == {}
    assert read_experiment(spec_ids=["another"]).records == ()


@pytest.mark.parametrize("status", ["killed", "finished"])
@pytest.mark.parametrize("is_older", [False, True])
def test_a_trial_whose_run_was_deleted_for_good_counts_as_deleted_unless_the_store_was_made_anew(
    store: Store, database: str, status: str, *, is_older: bool
) -> None:
    began = replace(journals.started("one"), timestamp_ms=journals.START_MS if is_older else time.time_ns() // 10**6)
    journal = Journal.of(journals.SPEC.id, "one")
    journal.append(began)
    journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id))
    run = store.deliver(journal)
    store.client.delete_run(run.run_id)
    journal.append(journals.failed(status="killed") if status == "killed" else journals.finished())
    Store.open(database).deliver(journal)
    store.client._tracking_client.store._hard_delete_run(run.run_id)  # as `mlflow gc` does

    again = Store.open(database)
    assert again.find_known_runs({journals.SPEC.id}).deleted_attempts == (set() if is_older else {"one"})
    again.deliver(journal)
    tags = [run.data.tags for run in again.client.search_runs([again.experiment_id])]
    assert [tag["benchbench.status"] for tag in tags] == ([status] if is_older else [])


def test_no_credentials_reach_the_store(store: Store, journal: Journal) -> None:
    secrets = {"mean": [0.5], "url": "https://ann:secret@example.org/a", "urls": ["https://ann:secret@example.org/b"]}
    spec = replace(journals.SPEC, dataset=PluginSpec("squares", 1, secrets))
    journal = journals.write_journal(
        journal.folder.parent / "other", replace(journals.started("other"), spec=spec), journals.finished()
    )
    write_provenance(journal)
    run = store.deliver(journal)
    assert "secret" not in str(store.client.get_run(run.run_id).to_dictionary())
    assert all("secret" not in path.read_text() for path in journal.artifacts.iterdir())


def test_a_grid_whose_run_was_deleted_keeps_no_other_from_ending(store: Store, workdir: Path) -> None:
    gone, other = (store.open_parent(name, file=workdir / f"{name}.toml", headline="") for name in ("one", "other"))
    for run_id in (gone, other):
        GridEnd(store.tracking_uri, run_id, "finished").keep()
    store.client.delete_run(gone)
    store.close_parents()
    assert store.client.get_run(other).info.status == "FINISHED"
    assert GridEnd.all() == []


def test_numbers_arrive_though_the_files_are_refused(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Access Denied")

    with monkeypatch.context() as patched:
        patched.setattr(store.client, "log_artifact", refuse)
        with pytest.raises(TrackingError, match="Access Denied"):
            store.deliver(journal)
    (run,) = store.client.search_runs([store.experiment_id])
    assert run.data.metrics["test_accuracy"] == journals.finished().final.test_accuracy
    assert run.info.status == "RUNNING"
    before = run.data.metrics
    store.deliver(journal)
    (run,) = store.client.search_runs([store.experiment_id])
    assert (run.info.status, run.data.metrics) == ("FINISHED", before)
    assert len(store.client.get_metric_history(run.info.run_id, "val_loss")) == 3


def test_a_server_that_knows_no_models_of_their_own_keeps_the_model_among_the_files(
    store: Store, journal: Journal, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise MlflowException("API request failed with error code 404", error_code=ENDPOINT_NOT_FOUND)

    shutil.copytree(model_folder, journal.artifacts / "model")
    monkeypatch.setattr(store.client, "search_logged_models", unknown)
    run = store.deliver(journal)
    assert store.client.get_run(run.run_id).info.status == "FINISHED"
    assert "model/MLmodel" in set(walk(store.client, run.run_id))


def test_files_lie_beside_their_database_wherever_a_command_is_called(workdir: Path, empty_database: Path) -> None:
    (workdir / "results").mkdir()
    shutil.copy(empty_database, workdir / "results" / "all.db")
    opened = Store.open(f"sqlite:///{workdir}/results/all.db")
    location = opened.client.get_experiment(opened.experiment_id).artifact_location
    assert location.startswith(f"{workdir}/results/mlruns/")


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete")])
def test_a_database_on_a_network_drive_has_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """SQLite's works only if all who use it are on one machine: https://sqlite.org/wal.html."""
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)  # noqa: A006 - as in psutil
    make_database(f"sqlite:///{tmp_path}/mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
