"""One trial after another in this process: what it says, and how it ends when something goes wrong."""

import csv
import errno
import gc
import io
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchbench_plugins.digits import Digits
from mlflow.utils.validation import _validate_metric_name
from rich.console import Console
from support.odd_classes import ODD_CLASSES, write_images
from support.paths import PLUGINS
from support.trial_jobs import curve, make_job

from benchbench.cli.run import per_class_table
from benchbench.errors import BenchError, DeviceError, ModelError, SpecError
from benchbench.plugin.dataset import LazyImages
from benchbench.plugin.registry import Registry
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.events import Failed, Finished, Resumed, Started
from benchbench.records.journal import Journal
from benchbench.records.metrics import class_slugs
from benchbench.records.record import Record
from benchbench.worker import setup, trial
from benchbench.worker.accelerate import Acceleration, possible_precisions
from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.checkpoint import Checkpoint
from benchbench.worker.predictor import Predictor
from benchbench.worker.trial import run_trial

pytestmark = pytest.mark.usefixtures("one_cache")
LARGE = """
from torch import nn
import benchbench as bb

class Large(bb.Model, name="large"):
    def build(self, data):
        head = [nn.Flatten(), nn.Linear(8 * 400, 1024), nn.ReLU(), nn.Linear(1024, data.num_classes)]
        return nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4), *head)

@bb.hookimpl
def benchbench_models():
    return [Large]
"""
"""A model whose convolution, over a black border, and large linear layer are computed otherwise in training."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS / "tiny.py", PLUGINS / "unruly.py"])


def unruly(vice: str, **more: Any) -> Mapping[str, Any]:
    return {"model": {"name": "unruly", "vice": vice, **more}}


def test_a_trial_says_started_then_each_epoch_then_finished(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    events = list(run_trial(make_job(registry, tmp_path), registry, counter=counter))
    assert [event.event for event in events] == ["started", "epoch_finished", "epoch_finished", "finished"]
    record = Record.of(events)
    assert record.status == "finished"
    assert record.final is not None
    assert record.final.test_accuracy > 0.6
    assert set(record.final.test_accuracy_per_class) == set(record.data.class_names)
    assert record.final.test_top5_accuracy >= record.final.test_accuracy
    assert counter.num_trained == 2 * 15
    assert Record.from_json(record.to_json()) == record


def test_the_phases_of_a_real_trial_add_up_to_its_wall_clock(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    began = time.perf_counter()
    *_, finished = run_trial(job, registry, counter=counter)
    elapsed = time.perf_counter() - began
    times = finished.times
    phases = times.load + times.train + times.eval + times.checkpoint + times.other
    assert phases == pytest.approx(times.wall)
    assert phases == pytest.approx(elapsed, rel=0.01, abs=0.02)
    assert times.train > times.first_epoch_train > 0


def test_a_trial_repeats_itself_bit_for_bit_whatever_ran_between(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    first = list(run_trial(make_job(registry, tmp_path), registry, counter=counter))
    between = make_job(registry, tmp_path, **unruly("meddles"))
    list(run_trial(between, registry, counter=counter))
    again = list(run_trial(make_job(registry, tmp_path), registry, counter=counter))
    other_seed = list(run_trial(make_job(registry, tmp_path, seed=1), registry, counter=counter))
    assert curve(first) == curve(again)
    assert Record.of(first).final == Record.of(again).final
    assert curve(first) != curve(other_seed)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("vice", "message"),
    [
        ("raises", "RuntimeError: no 100 images please, says https://example.org"),
        ("nan", "train loss became nan in epoch 2"),
        ("greedy", "out of memory in a training step of 100 images: "),
    ],
)
def test_a_trial_that_goes_wrong_keeps_its_curve_and_says_why(
    registry: Registry, counter: SharedCounter, tmp_path: Path, vice: str, message: str
) -> None:
    job = make_job(registry, tmp_path, epochs=5, **unruly(vice, at=16))
    events = list(run_trial(job, registry, counter=counter))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.status == "failed"
    assert message in failed.error.message
    assert Record.of(events).epochs[0].val_accuracy > 0


def test_a_view_that_only_an_acceleration_refuses_is_told_with_the_option_that_helps() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.ones(2, 3).t().view(-1)
    device = torch.device("cpu")
    accelerated = Acceleration(device, "bf16", levers=(ChannelsLast(), FusedSteps()))
    assert "--accelerate off" in trial._describe(refused.value, accelerated).hint
    plain = replace(accelerated, levers=(FusedSteps(),))
    assert "--accelerate" not in trial._describe(refused.value, plain).hint


def test_memory_that_an_evaluation_lacks_is_said_with_its_split_and_batch(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    *_, failed = run_trial(make_job(registry, tmp_path, **unruly("greedy_in_eval")), registry, counter=counter)
    assert isinstance(failed, Failed)
    assert failed.error.message.startswith("out of memory evaluating val in batches of 64 images: ")


def test_an_epoch_that_is_not_finite_leaves_the_last_good_checkpoint(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path, epochs=5, **unruly("nan", at=16))
    *_, failed = run_trial(job.with_training(checkpoint_every=0), registry, counter=counter)
    assert isinstance(failed, Failed)
    content = torch.load(Path(job.folder) / "checkpoint.pt", weights_only=True)
    assert len(content["epochs"]) == 1
    assert all(bool(value.isfinite().all()) for value in content["states"]["model"].values())


def test_a_state_that_no_checkpoint_can_hold_is_said_once_and_the_trial_goes_on(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    said: list[str] = []
    job = make_job(registry, tmp_path, **unruly("numpy")).with_training(checkpoint_every=0)
    *_, finished = run_trial(job, registry, counter=counter, on_status=said.append)
    (note,) = finished.notes
    assert note.startswith("epochs from here on are lost if this trial is interrupted: its state holds numpy")
    assert said.count(note) == 1
    assert not (Path(job.folder) / "checkpoint.pt").exists()


def test_a_disk_that_is_full_once_the_training_is_over_costs_no_training(
    registry: Registry, counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    job = make_job(registry, tmp_path, artifacts="light")
    with monkeypatch.context() as patched:
        patched.setattr("benchbench.worker.trial.write_artifacts", full)
        *_, failed = run_trial(job, registry, counter=counter)
    assert isinstance(failed, Failed)
    assert failed.error.kind == "CheckpointError"
    assert "No space left on device" in failed.error.message
    resumed, *_, finished = run_trial(replace(job, resume=True), registry, counter=counter)
    assert isinstance(resumed, Resumed)
    assert resumed.num_epochs == job.spec.epochs
    assert isinstance(finished, Finished)


def test_the_checkpoint_is_out_of_memory_once_a_trial_goes_on(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path, epochs=1)
    assert isinstance([*run_trial(job, registry, counter=counter)][-1], Finished)
    events = run_trial(replace(job, resume=True), registry, counter=counter)
    resumed = next(events)
    assert isinstance(resumed, Resumed)
    assert resumed.num_epochs == 1
    assert not [kept for kept in gc.get_objects() if type(kept) is Checkpoint]
    events.close()


def test_a_trial_asked_to_stop_after_an_epoch_keeps_it_and_ends_as_killed(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    running = run_trial(make_job(registry, tmp_path, epochs=1000), registry, counter=counter)
    told = [next(running), next(running)]
    counter.ask_to_stop()
    told.extend(running)
    assert [event.event for event in told] == ["started", "epoch_finished", "failed"]
    assert told[-1].status == "killed"
    assert counter.num_trained == 15
    assert list(tmp_path.rglob("checkpoint.pt"))


@pytest.mark.parametrize(
    ("changed", "error", "message", "hint"),
    [
        (unruly("narrow"), ModelError, r"2 images of 10 classes has the shape \[2, 9\]; .* or wider", ""),
        (
            unruly("build"),
            ModelError,
            r"model 'unruly' failed in build\(\): ValueError: this cannot be built \(.*unruly\.py, line \d+\)",
            "--debug",
        ),
        ({"batch_size": 1500}, SpecError, "batch size 1500 is larger than the training set of 14", "at most"),
        (
            {"dataset": {"name": "digits", "image_size": 32}},
            SpecError,
            "dataset.image_size 32 would cut the stored images of 64x64 pixels",
            "dataset.image_size=64",
        ),
        ({"dataset": {"name": "digits", "mean": [0.1, 0.2]}}, SpecError, "dataset.mean has 2 values", "channel"),
        ({"device": "cuda:99"}, DeviceError, "cuda:99", "cpu|counted"),
        ({"device": "toaster"}, DeviceError, "no device is called 'toaster'", "cpu"),
        ({"precision": "tf32"}, DeviceError, "tf32 is not possible on cpu", "fp32"),
        (
            {"optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": True}},
            SpecError,
            "nesterov needs a momentum",
            "--momentum",
        ),
    ],
)
def test_what_cannot_be_started_is_refused_before_the_first_event(
    registry: Registry,
    counter: SharedCounter,
    tmp_path: Path,
    changed: Mapping[str, Any],
    error: type[BenchError],
    message: str,
    hint: str,
) -> None:
    job = make_job(registry, tmp_path, **changed)
    with pytest.raises(error, match=message) as caught:
        next(run_trial(job, registry, counter=counter))
    assert any(word in caught.value.hint for word in hint.split("|"))
    assert caught.value.exit_code == 2


def test_trying_the_model_leaves_weights_dropout_and_statistics_untouched(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    started = next(run_trial(job, registry, counter=counter))
    assert isinstance(started, Started)
    after_trial_setup = torch.rand(1)
    torch.manual_seed(job.spec.seed)
    registry.create("model", job.spec.model).build(_data_spec())
    assert torch.equal(torch.rand(1), after_trial_setup)


def _data_spec() -> Any:
    from benchbench.plugin.model import DataSpec

    return DataSpec(num_channels=3, image_size=64, num_classes=10)


@pytest.mark.skipif("bf16" not in possible_precisions(torch.device("cpu")), reason="this processor has no bf16")
def test_bf16_trains_too(registry: Registry, counter: SharedCounter, tmp_path: Path) -> None:
    *_, finished = run_trial(make_job(registry, tmp_path, precision="bf16"), registry, counter=counter)
    assert finished.event == "finished"
    assert finished.final.test_accuracy > 0.6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_gpu_trains_as_well_as_a_cpu(
    registry: Registry, counter: SharedCounter, tmp_path: Path, precision: str
) -> None:
    if precision not in possible_precisions(torch.device("cuda")):
        pytest.skip(f"this GPU has no arithmetic of {precision}")
    job = make_job(registry, tmp_path, device="cuda", precision=precision)
    *_, finished = run_trial(job, registry, counter=counter)
    assert finished.event == "finished"
    assert finished.final.test_accuracy > 0.6


@pytest.mark.slow
def test_a_saved_model_predicts_as_the_table_says_also_if_training_was_accelerated(
    counter: SharedCounter, tmp_path: Path
) -> None:
    (tmp_path / "large.py").write_text(LARGE, encoding="utf-8")
    registry = Registry.load([tmp_path / "large.py"])
    dataset = {"name": "digits", "image_size": 80}
    job = make_job(registry, tmp_path, artifacts="full", model="large", dataset=dataset, epochs=1, batch_size=64)
    started, *_, finished = run_trial(job, registry, counter=counter)
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert started.acceleration["border"] != "torch"
    assert finished.notes == ()
    artifacts = Path(job.folder) / "artifacts"
    with (artifacts / "predictions.csv").open(encoding="utf-8") as file:
        kept = list(csv.DictReader(file))
    test = Digits(image_size=80).load(tmp_path).test
    predictor = Predictor.load(artifacts / "model" / "data")
    told = predictor.predict_pixels(np.asarray(test.images), test.names)
    assert [row["image"] for row in kept] == list(told.images)
    assert [row["prediction"] for row in kept] == list(told.predictions)
    assert [np.float32(row["probability"]) for row in kept] == list(told.probabilities)


def test_outputs_of_no_class_are_told_of_before_the_first_epoch(counter: SharedCounter, tmp_path: Path) -> None:
    file = tmp_path / "wide.py"
    file.write_text((PLUGINS / "tiny.py").read_text(encoding="utf-8").replace("data.num_classes", "1000"))
    registry = Registry.load([file])
    trial = run_trial(make_job(registry, tmp_path), registry, counter=counter)
    started = next(trial)
    trial.close()
    assert isinstance(started, Started)
    expected = "the model has 1000 outputs for 10 classes: a prediction of any other output counts as wrong"
    assert started.note == expected
    assert Record.of([started]).notes == (expected,)


def test_a_model_is_saved_with_a_single_test_image_too(counter: SharedCounter, tmp_path: Path) -> None:
    registry = Registry.load([PLUGINS / "tiny.py"])
    dataset = {"name": "synthetic", "num_train": 12, "num_val": 4, "num_test": 1, "num_classes": 2}
    job = make_job(registry, tmp_path, artifacts="full", dataset=dataset, epochs=1, batch_size=4)
    *_, finished = run_trial(job, registry, counter=counter)
    assert isinstance(finished, Finished)
    assert finished.notes == ()
    assert (Path(job.folder) / "artifacts" / "model" / "MLmodel").is_file()
    assert Journal(Path(job.folder)).has_kept("full")


def test_some_images_of_each_split_are_kept_as_the_network_saw_them(counter: SharedCounter, tmp_path: Path) -> None:
    registry = Registry.load([PLUGINS / "tiny.py"])
    dataset = {"name": "synthetic", "num_train": 40, "num_val": 30, "num_test": 4, "num_classes": 2}
    job = make_job(registry, tmp_path, artifacts="full", dataset=dataset, augmentation="flip", epochs=1, batch_size=8)
    list(run_trial(job, registry, counter=counter))
    test = registry.create("dataset", job.spec.dataset).load(tmp_path).test
    with np.load(Path(job.folder) / "artifacts" / "seen.npz") as seen:
        assert [len(seen[name]) for name in ("images", "val_images", "test_images")] == [20, 10, 4]
        assert [len(seen[name]) for name in ("labels", "val_labels", "test_labels")] == [20, 10, 4]
        assert seen["test_labels"].tolist() == list(test.labels)
        assert isinstance(test.images, LazyImages)
        assert all((image == test.images.read(row)).all() for row, image in enumerate(seen["test_images"]))


def test_a_trial_on_the_cpu_never_asks_a_gpu(
    registry: Registry, counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("CUDA was initialised")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "_lazy_init", refuse)
    # Torch's own Adam asks every accelerator that is there: workers for the CPU are given none to see.
    job = make_job(registry, tmp_path, epochs=1, optimizer="sgd")
    *_, finished = run_trial(job, registry, counter=counter)
    assert isinstance(finished, Finished)


@pytest.mark.slow
def test_every_configuration_of_a_grid_is_compiled_and_the_record_says_so(
    registry: Registry, counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many functions as it takes, but no compiler: more than eight variants of one were given up silently.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for width in range(8, 18):
        draft = {"epochs": 1, "model": {"name": "tiny", "width": width}, "batch_size": 500}
        job = make_job(registry, tmp_path / str(width), **draft).with_training(compile=True)
        *_, finished = run_trial(job, registry, counter=counter)
        assert isinstance(finished, Finished), finished
        (note,) = [note for note in finished.notes if "torch.compile" in note]
        assert "left" not in note
        assert "made 0 graphs" not in note


def test_images_that_do_not_fit_are_read_from_their_file_and_the_numbers_are_the_same(
    registry: Registry, counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = list(run_trial(make_job(registry, tmp_path / "resident"), registry, counter=counter))
    monkeypatch.setattr(setup, "is_resident", lambda *_: False)
    streamed = list(run_trial(make_job(registry, tmp_path / "streamed"), registry, counter=counter))
    assert curve(streamed) == curve(resident)
    assert Record.of(streamed).final == Record.of(resident).final
    assert Record.of(streamed).acceleration["images"] == "read from their file, some batches ahead"


def test_classes_of_any_name_reach_every_table(counter: SharedCounter, tmp_path: Path) -> None:
    images = write_images(tmp_path)
    registry = Registry.load([PLUGINS / "tiny.py"])
    dataset = {"name": "imagelist", "image_size": 8}
    job = make_job(registry, tmp_path, artifacts="light", dataset=dataset, epochs=1, batch_size=8)
    events = list(run_trial(replace(job, data_root=str(images)), registry, counter=counter))
    record = Record.of(events)
    assert record.final is not None
    assert set(record.final.test_accuracy_per_class) == set(ODD_CLASSES)
    names = class_slugs(tuple(record.final.test_accuracy_per_class))
    assert len({name.casefold() for name in names.values()}) == len(ODD_CLASSES)
    for name in names.values():
        _validate_metric_name(f"test_accuracy/{name}")
    folder = Path(job.folder) / "artifacts"
    with (folder / "per_class.csv").open(encoding="utf-8", newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} == set(ODD_CLASSES)
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} == set(ODD_CLASSES)
    shown = io.StringIO()
    Console(file=shown, width=200).print(per_class_table(record))
    assert len(shown.getvalue().splitlines()) == len(ODD_CLASSES) + 1
