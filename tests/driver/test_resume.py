"""A trial that was interrupted goes on as if it had never stopped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support import journals
from support.counters import LoneCounter
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import SpecError, StoppedError
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import Continued, OtherAttempts, TrialJob
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.claim import Claim
from benchbench.records.events import EpochFinished, Event, Failed, Finished, Resumed, Started
from benchbench.records.journal import Journal
from benchbench.records.record import Record
from benchbench.worker import stopping
from benchbench.worker.accelerate import Case
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.lever import Layers
from benchbench.worker.trial import _acceleration, _began, run_trial

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS / "dropout.py", PLUGINS / "tiny.py"])


def make_job(registry: Registry, folder: Path, **draft: Any) -> TrialJob:
    table = {
        "model": "dropout",
        "dataset": "digits",
        "optimizer": {"name": "adam", "lr": 0.003},
        "scheduler": "cosine",
        "epochs": 4,
        "batch_size": 100,
    }
    return TrialJob(
        spec=registry.resolve(Draft.from_toml(table | draft)),
        attempt="1",
        data_root=str(folder),
        folder=str(folder / "trial" / "1"),
        training=TrainingOptions(device="cpu", checkpoint_every=0, artifacts="none"),
    )


def weights(job: TrialJob) -> dict[str, torch.Tensor]:
    return torch.load(Path(job.folder) / "checkpoint.pt", weights_only=True)["states"]["model"]


def values(events: list[Event]) -> list[tuple[float, ...]]:
    epochs = [event.epoch for event in events if isinstance(event, EpochFinished)]
    return [
        (epoch.epoch, epoch.train_loss, epoch.train_accuracy, epoch.val_loss, epoch.val_accuracy, epoch.learning_rate)
        for epoch in epochs
    ]


def until(events: Iterator[Event], num_epochs: int) -> list[Event]:
    """Take events up to the end of that epoch, as a process that is killed then would have sent them."""
    return [next(events) for _ in range(1 + num_epochs)]


@pytest.mark.parametrize(
    "num_epochs",
    [pytest.param(0, marks=pytest.mark.slow), 1, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4))],
)
def test_a_trial_cut_off_anywhere_ends_with_the_same_weights_and_numbers(
    registry: Registry, counter: SharedCounter, tmp_path: Path, num_epochs: int
) -> None:
    whole_job = make_job(registry, tmp_path / "whole")
    whole = list(run_trial(whole_job, registry, counter=counter))
    job = make_job(registry, tmp_path / "cut")
    cut = run_trial(job, registry, counter=counter)
    before = until(cut, num_epochs)
    cut.close()
    torch.rand(13)

    after = list(run_trial(replace(job, resume=True), registry, counter=counter))

    assert isinstance(before[0], Started)
    # The checkpoint is written after the event: the one of the epoch last seen was not.
    assert isinstance(after[0], Resumed)
    assert after[0].num_epochs == max(0, num_epochs - 1)
    assert values(after) == values(whole)
    finished, expected = after[-1], whole[-1]
    assert isinstance(finished, Finished)
    assert isinstance(expected, Finished)
    assert finished.final == expected.final
    ours, theirs = weights(job), weights(whole_job)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert Record.of([*before, *after]).status == "finished"
    assert len(Record.of([*before, *after]).epochs) == 4


@pytest.mark.parametrize(
    "kept", [pytest.param(1, id="before any epoch"), pytest.param(5, id="after an epoch of its own")]
)
@pytest.mark.parametrize(
    "scheduler", ["constant", pytest.param({"name": "step", "step_size": 1}, marks=pytest.mark.slow)]
)
def test_a_longer_trial_that_goes_on_after_a_shorter_one_is_the_longer_one_to_the_bit(
    registry: Registry, counter: SharedCounter, tmp_path: Path, scheduler: object, kept: int
) -> None:
    whole_job = make_job(registry, tmp_path / "whole", scheduler=scheduler)
    whole = list(run_trial(whole_job, registry, counter=counter))
    short_job = make_job(registry, tmp_path / "short", scheduler=scheduler, epochs=2)
    journal = Journal(Path(short_job.folder))
    for event in run_trial(short_job, registry, counter=counter):
        journal.append(
            replace(event, machine=replace(event.machine, hostname="elsewhere"))
            if isinstance(event, Started)
            else event
        )
    torch.rand(13)
    shorter = Continued(short_job.spec.id, short_job.folder)
    job = replace(make_job(registry, tmp_path / "long", scheduler=scheduler), continues=shorter)

    events = run_trial(job, registry, counter=counter)
    before = [next(events) for _ in range(kept)]  # 5: to the third epoch, whose checkpoint is not written
    events.close()
    after = list(run_trial(replace(job, resume=True), registry, counter=counter))

    assert [event.event for event in before] == ["started", "resumed", *["epoch_finished"] * 3][:kept]
    assert isinstance(after[0], Resumed)
    assert after[0].num_epochs == 2
    record = Record.of([*before, *after])
    assert [machine.hostname for machine in record.machines] == ["elsewhere", after[0].machine.hostname]
    assert record.notes == (f"epochs 1 to 2 are those of the finished trial with the spec id {short_job.spec.id[:12]}",)
    assert [values([event]) for event in before[2:]] == [[value] for value in values(whole)[: max(0, kept - 2)]]
    assert values(after) == values(whole)
    finished, expected = after[-1], whole[-1]
    assert isinstance(finished, Finished)
    assert isinstance(expected, Finished)
    assert finished.final == expected.final
    ours, theirs = weights(job), weights(whole_job)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_longer_trial_on_another_kind_of_device_keeps_the_threads_that_it_had_there(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    short_job = make_job(registry, tmp_path / "short", epochs=1)
    journal = Journal(Path(short_job.folder))
    started, *others = run_trial(short_job, registry, counter=counter)
    assert isinstance(started, Started)
    elsewhere = replace(started.machine, device="cuda:0", num_threads=31)
    facts = started.acceleration | {"device": "cuda:0"}
    for event in (replace(started, machine=elsewhere, acceleration=facts), *others):
        journal.append(event)
    shorter = Continued(short_job.spec.id, short_job.folder)
    job = replace(make_job(registry, tmp_path / "long"), continues=shorter)

    events = run_trial(job, registry, counter=counter)
    begun = Journal(Path(job.folder))
    for _ in range(3):
        begun.append(next(events))
    events.close()
    resumed = next(run_trial(replace(job, resume=True), registry, counter=counter))

    assert isinstance(resumed, Resumed)
    assert resumed.machine.num_threads == started.machine.num_threads


def test_a_trial_goes_on_as_it_was_accelerated_when_it_began(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    (began,) = until(run_trial(job, registry, counter=counter), 0)
    assert isinstance(began, Started)
    other = {"memory_format": "channels_last", "optimizer": "as built"}
    assert began.acceleration | other != began.acceleration
    assert began.machine.num_threads != 3
    machine = replace(began.machine, num_threads=3)
    Journal(Path(job.folder)).append(replace(began, acceleration=began.acceleration | other, machine=machine))
    assert _acceleration(job, _began(job)).facts()["optimizer"] != "as built"
    again = replace(job, resume=True)
    resumed, *_ = run_trial(again, registry, counter=counter)
    assert isinstance(resumed, Resumed)
    assert resumed.machine.num_threads == 3
    assert _acceleration(again, _began(again)).facts().items() >= other.items()


def test_a_trial_that_is_asked_to_be_computed_otherwise_than_it_began_says_that_it_is_not(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    (began,) = until(run_trial(job, registry, counter=counter), 0)
    Journal(Path(job.folder)).append(began)
    resumed = next(run_trial(replace(job.with_training(accelerate="off"), resume=True), registry, counter=counter))
    assert isinstance(resumed, Resumed)
    assert resumed.note == "computed with --accelerate auto, as when it began (--fresh starts over)"


def test_epochs_that_are_not_repeated_exactly_replace_those_after_the_checkpoint(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    events = list(run_trial(make_job(registry, tmp_path), registry, counter=counter))
    started, *epochs, _ = events
    again = [replace(event, epoch=replace(event.epoch, val_loss=9.0)) for event in epochs[1:3]]
    resumed = Resumed(num_epochs=1, machine=started.machine)
    assert [epoch.val_loss for epoch in Record.of([started, *epochs, resumed, epochs[1]]).epochs[1:]] == [
        event.epoch.val_loss for event in epochs[1:]
    ]
    mixed = Record.of([started, *epochs, resumed, *again])
    assert [epoch.val_loss for epoch in mixed.epochs[1:]] == [9.0, 9.0]


def test_a_trial_that_goes_on_on_another_device_says_so(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    (began,) = until(run_trial(job, registry, counter=counter), 0)
    assert isinstance(began, Started)
    machine = replace(began.machine, device="cuda:1")
    facts = began.acceleration | {"device": "cuda:1"}
    Journal(Path(job.folder)).append(replace(began, acceleration=facts, machine=machine))
    resumed = next(run_trial(replace(job, resume=True), registry, counter=counter))
    assert isinstance(resumed, Resumed)
    assert resumed.note == "it was started on cuda and resumed on cpu"


def test_a_step_that_is_wrong_with_the_weights_of_the_checkpoint_is_left_to_torch_and_told(
    registry: Registry, counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    fuse = FusedSteps.apply

    def wrong_for_other_weights(lever: FusedSteps, case: Case, layers: Layers) -> Layers:
        norms.append(float(next(case.model.parameters()).detach().norm()))
        if norms[-1] != norms[0]:
            case.optimizer.param_groups[0]["lr"] *= 1.01
        return fuse(lever, case, layers)

    monkeypatch.setattr(FusedSteps, "apply", wrong_for_other_weights)
    job = make_job(registry, tmp_path)
    cut = run_trial(job, registry, counter=counter)
    events = until(cut, 2)
    cut.close()
    assert isinstance(events[0], Started)
    assert events[0].acceleration["optimizer"] == "fused"
    events += run_trial(replace(job, resume=True), registry, counter=counter)
    (resumed,) = [event for event in events if isinstance(event, Resumed)]
    assert resumed.note.startswith("no longer accelerated: fused: the weight")
    assert resumed.note in Record.of(events).notes


@pytest.mark.slow
def test_the_time_before_an_interruption_counts(registry: Registry, counter: SharedCounter, tmp_path: Path) -> None:
    job = make_job(registry, tmp_path)
    cut = run_trial(job, registry, counter=counter)
    before = until(cut, 3)
    cut.close()
    *_, finished = run_trial(replace(job, resume=True), registry, counter=counter)
    assert isinstance(finished, Finished)
    kept = [event.epoch.train_seconds for event in before[1:3] if isinstance(event, EpochFinished)]
    assert finished.times.train > sum(kept)
    assert finished.times.first_epoch_train == kept[0]


def test_a_trial_that_another_call_has_finished_is_not_resumed_again(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    for event in run_trial(job, registry, counter=counter):
        Journal(Path(job.folder)).append(event)
    again = replace(job, resume=True)
    with pytest.raises(SpecError, match="another process has just finished this trial"):
        next(run_trial(again, registry, counter=counter))
    *_, last = run_trial(replace(again, repeats_end=True), registry, counter=counter)
    assert isinstance(last, Finished)


def test_a_trial_that_another_call_has_finished_meanwhile_is_not_begun(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    began = next(run_trial(job, registry, counter=counter))
    journal = Journal(Path(job.folder).with_name("theirs"))
    for event in (began, journals.finished()):
        journal.append(event)
    journal.set_claim(Claim("store", "bench", "1"))
    others = OtherAttempts(("store", "1"))

    with pytest.raises(SpecError, match="another process has just finished this trial"):
        next(run_trial(replace(job, others=others), registry, counter=counter))
    again = replace(job, others=replace(others, finished_before=("theirs",)))
    assert isinstance(next(run_trial(again, registry, counter=counter)), Started)


@pytest.mark.slow
def test_a_damaged_checkpoint_starts_the_trial_again_and_says_so(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path)
    whole = list(run_trial(job, registry, counter=counter))
    path = Path(job.folder) / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    again = list(run_trial(replace(job, resume=True), registry, counter=counter))
    assert isinstance(again[0], Resumed)
    assert again[0].num_epochs == 0
    assert "is damaged" in again[0].note
    assert "starts over" in again[0].note
    assert values(again) == values(whole)


@pytest.mark.slow
def test_a_checkpoint_of_another_spec_is_not_taken(registry: Registry, counter: SharedCounter, tmp_path: Path) -> None:
    list(run_trial(make_job(registry, tmp_path), registry, counter=counter))
    other = make_job(registry, tmp_path, seed=1)
    first = next(run_trial(replace(other, resume=True), registry, counter=counter))
    assert isinstance(first, Resumed)
    assert first.num_epochs == 0
    assert "belongs to another version of benchbench, another trial or other data" in first.note


class StopDuring(LoneCounter):
    """Asks for a stop from this training batch on."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def trained(self) -> None:
        super().trained()
        self.check()

    def check(self) -> None:
        if self.num_trained >= self.batch:
            raise StoppedError("stopped on request")


def run_and_resume(registry: Registry, folder: Path, *, stop_in: int) -> tuple[list[Event], Resumed, list[str]]:
    """Stop a trial whose checkpoints are not due, and return its events, the first when it resumes, and statuses."""
    options = TrainingOptions(device="cpu", checkpoint_every=3600, artifacts="none")
    job = replace(make_job(registry, folder), training=options)
    told: list[str] = []

    def on_status(text: str, *_: int) -> None:
        told.append(text)

    events = list(run_trial(job, registry, counter=StopDuring(stop_in), on_status=on_status))
    resumed = next(run_trial(replace(job, resume=True), registry, counter=LoneCounter()))
    assert isinstance(resumed, Resumed)
    return events, resumed, told


# Batch 30 is in the middle of the second epoch.
def test_a_stop_in_a_short_epoch_loses_no_finished_epoch(registry: Registry, tmp_path: Path) -> None:
    events, resumed, told = run_and_resume(registry, tmp_path, stop_in=30)
    ended = events[-1]
    assert isinstance(ended, Failed)
    assert ended.status == "killed"
    assert len(values(events)) == resumed.num_epochs == 2
    assert "training to the end of this epoch, so that none is lost" in told


def test_a_stop_before_the_first_epoch_has_ended_stops_at_once(registry: Registry, tmp_path: Path) -> None:
    events, resumed, told = run_and_resume(registry, tmp_path, stop_in=3)
    assert not values(events)
    assert resumed.num_epochs == 0
    assert not any("to the end" in text for text in told)


def test_a_stop_in_a_long_epoch_does_not_wait_for_its_end(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", -1.0)
    events, resumed, _ = run_and_resume(registry, tmp_path, stop_in=30)
    assert len(values(events)) == 1
    assert resumed.num_epochs == 0


RECIPES: dict[str, dict[str, Any]] = {
    "clipped adamw, exponential, warm-up, average": {
        "optimizer": {"name": "adamw", "clip_norm": 0.1, "decay": "matrices"},
        "scheduler": {"name": "exponential", "warmup_epochs": 2.5},
        "ema_decay": 0.9,
    },
    "rmsprop, multistep, best": {
        "optimizer": {"name": "rmsprop", "lr": 0.05, "momentum": 0.5, "centered": True},
        "scheduler": {"name": "multistep", "milestones": [1, 2]},
        "select": "best_val",
    },
    "lion, onecycle": {"optimizer": "lion", "scheduler": {"name": "onecycle", "cycle_momentum": True}},
    "muon, plateau": {
        "model": "tiny",
        "optimizer": {"name": "muon", "lr": 0.01},
        "scheduler": {"name": "plateau", "patience": 0, "threshold": 0.9},
    },
    "timm, linear, best average": {
        "optimizer": {"name": "timm", "algorithm": "nadamw", "lr": 0.01},
        "scheduler": "linear",
        "select": "best_val",
        "ema_decay": 0.9,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_goes_on_to_the_bit(
    registry: Registry, counter: SharedCounter, tmp_path: Path, recipe: str
) -> None:
    if "muon" in recipe and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon: it came with 2.9")
    whole_job = make_job(registry, tmp_path / "whole", epochs=3, **RECIPES[recipe])
    whole = list(run_trial(whole_job, registry, counter=counter))
    job = make_job(registry, tmp_path / "cut", epochs=3, **RECIPES[recipe])
    cut = run_trial(job, registry, counter=counter)
    until(cut, 3)
    cut.close()
    after = list(run_trial(replace(job, resume=True), registry, counter=counter))
    assert isinstance(after[0], Resumed)
    assert after[0].num_epochs == 2
    assert values(after) == values(whole)
    assert isinstance(after[-1], Finished)
    assert isinstance(whole[-1], Finished)
    assert after[-1].final == whole[-1].final
    ours, theirs = states(job), states(whole_job)
    assert ours.keys() == theirs.keys()
    for name in ("model", "average"):
        weights = theirs.get(name, {})
        assert all(torch.equal(ours[name][key], value) for key, value in weights.items())


def states(job: TrialJob) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(Path(job.folder) / "checkpoint.pt", weights_only=True)["states"]
    return content


def test_the_best_network_is_evaluated_if_it_is_asked_for(
    registry: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(registry, tmp_path, optimizer={"name": "sgd", "lr": 0.9}, scheduler="constant", select="best_val")
    events = list(run_trial(job, registry, counter=counter))
    finished = events[-1]
    assert isinstance(finished, Finished)
    epochs = [event.epoch for event in events if isinstance(event, EpochFinished)]
    best = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert finished.final.selected_epoch == best.epoch
    assert best.epoch < 4, "another rate makes the last epoch worse than this"
    assert (finished.final.val_accuracy, finished.final.val_loss) == (best.val_accuracy, best.val_loss)
