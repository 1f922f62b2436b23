"""Trials whose losses, schedulers, optimizers and models do more than most."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.paths import PLUGINS
from support.trial_jobs import curve, make_job

from benchbench.errors import BenchError
from benchbench.plugin.registry import Registry
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.events import Finished, Started
from benchbench.worker.accelerate import linear_products
from benchbench.worker.trial import run_trial

pytestmark = pytest.mark.usefixtures("one_cache")

KEEN = """
import torch
from torch import nn
import benchbench as bb

class Keen(bb.Loss, name="keen"):
    learns: bool = bb.param(False, "whether it has a parameter")

    def build(self, labels, *, num_outputs):
        return Module(self.learns)

class Module(nn.Module):
    def __init__(self, learns):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))
        if learns:
            self.scale = nn.Parameter(torch.ones(()))

    def forward(self, logits, targets):
        self.steps += 1
        return nn.functional.cross_entropy(logits, targets) * self.steps

@bb.hookimpl
def benchbench_losses():
    return [Keen]
"""
"""A loss that counts its steps, and may have a parameter of its own."""


@pytest.fixture
def keen(tmp_path: Path) -> Registry:
    (tmp_path / "keen.py").write_text(KEEN, encoding="utf-8")
    return Registry.load([PLUGINS / "tiny.py", tmp_path / "keen.py"])


def test_a_loss_with_parameters_that_nobody_would_train_is_refused(
    keen: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(keen, tmp_path, loss={"name": "keen", "learns": True})
    with pytest.raises(BenchError, match="loss 'keen': its module has parameters, which no optimizer trains"):
        next(run_trial(job, keen, counter=counter))


def test_a_loss_that_keeps_a_state_goes_on_from_it(keen: Registry, counter: SharedCounter, tmp_path: Path) -> None:
    whole = list(run_trial(make_job(keen, tmp_path, loss="keen"), keen, counter=counter))
    job = make_job(keen, tmp_path / "again", loss="keen")
    begun = run_trial(job.with_training(checkpoint_every=0), keen, counter=counter)
    started, *_ = [next(begun), next(begun), next(begun)]
    begun.close()
    resumed = list(run_trial(replace(job, resume=True), keen, counter=counter))
    assert curve([started, *resumed]) == curve(whole)


CLIPS = """
import benchbench as bb
import torch
from torch.optim.lr_scheduler import LambdaLR

class Clips(bb.Scheduler, name="clips"):
    def build(self, optimizer, *, num_epochs, steps_per_epoch):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        def clip(*_):
            torch.nn.utils.clip_grad_norm_(weights, 0.001)
        optimizer.register_step_pre_hook(clip)
        return LambdaLR(optimizer, lambda _: 1.0)

@bb.hookimpl
def benchbench_schedulers():
    return [Clips]
"""


@pytest.mark.parametrize("optimizer", [{"name": "sgd", "lr": 0.1, "momentum": 0.9}, {"name": "adam", "lr": 0.01}])
def test_gradients_that_a_scheduler_clips_are_clipped_with_and_without_acceleration(
    optimizer: dict[str, Any], counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_products, "MIN_WEIGHTS", 64**2)
    (tmp_path / "clips.py").write_text(CLIPS, encoding="utf-8")
    registry = Registry.load([tmp_path / "clips.py", PLUGINS / "tiny.py"])
    draft = {"optimizer": optimizer, "scheduler": "clips", "model": {"name": "tiny", "width": 64}, "epochs": 1}
    curves = []
    for mode in ("auto", "off"):
        job = make_job(registry, tmp_path / mode, **draft).with_training(accelerate=mode)
        events = list(run_trial(job, registry, counter=counter))
        assert isinstance(events[0], Started)
        assert events[0].acceleration["accelerate"] == mode
        assert events[0].acceleration["evaluation_batch"] == "64"
        curves.append(curve(events))
    assert curves[0][0] == pytest.approx(curves[1][0], rel=1e-5)
    if optimizer["name"] == "sgd":
        assert curves[0][0][0] > 2, "with clipped gradients it learns next to nothing"


FREEZES = """
import benchbench as bb
import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

class FreezesRule(LambdaLR):
    def step(self, epoch=None):
        super().step(epoch)
        if self.last_epoch == 1:
            for weight in self.optimizer.param_groups[0]["params"][:2]:
                weight.requires_grad_(False)

class AddsGroup(LambdaLR):
    def step(self, epoch=None):
        super().step(epoch)
        if self.last_epoch == 1:
            self.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "initial_lr": 0.1})
            self.lr_lambdas.append(self.lr_lambdas[0])
            self.base_lrs.append(0.1)

class Freezes(bb.Scheduler, name="freezes"):
    adds: bool = bb.param(False, "whether it adds a group instead")

    def build(self, optimizer, *, num_epochs, steps_per_epoch):
        return (AddsGroup if self.adds else FreezesRule)(optimizer, lambda _: 1.0)

class Unmeasured(bb.Scheduler, name="unmeasured"):
    def build(self, optimizer, *, num_epochs, steps_per_epoch):
        return ReduceLROnPlateau(optimizer)

class Closing(bb.Optimizer, name="closing"):
    def build(self, model):
        return torch.optim.LBFGS(model.parameters())

@bb.hookimpl
def benchbench_schedulers():
    return [Freezes, Unmeasured]

@bb.hookimpl
def benchbench_optimizers():
    return [Closing]
"""


@pytest.fixture
def freezing(tmp_path: Path) -> Registry:
    (tmp_path / "freezes.py").write_text(FREEZES, encoding="utf-8")
    return Registry.load([PLUGINS / "tiny.py", tmp_path / "freezes.py"])


def test_weights_that_were_frozen_in_the_middle_are_so_after_an_interruption(
    freezing: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    draft = {"scheduler": "freezes", "epochs": 3}
    whole = list(run_trial(make_job(freezing, tmp_path, **draft), freezing, counter=counter))
    job = make_job(freezing, tmp_path / "again", **draft)
    begun = run_trial(job.with_training(checkpoint_every=0), freezing, counter=counter)
    started, *_ = [next(begun) for _ in range(4)]
    begun.close()
    resumed = list(run_trial(replace(job, resume=True), freezing, counter=counter))
    assert curve([started, *resumed]) == curve(whole)


def test_groups_of_parameters_that_are_added_in_training_cost_the_checkpoints_and_it_is_said(
    freezing: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(freezing, tmp_path, scheduler={"name": "freezes", "adds": True})
    *_, finished = run_trial(job.with_training(checkpoint_every=0), freezing, counter=counter)
    assert isinstance(finished, Finished)
    assert any("its optimizer has new groups of parameters" in note for note in finished.notes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "closing"}, r"optimizer 'closing': its step\(\) needs a closure"),
        ({"scheduler": "unmeasured"}, r"scheduler 'unmeasured': its step\(\) needs a value"),
    ],
)
def test_a_plugin_whose_step_needs_what_it_does_not_get_is_refused_before_training(
    changed: dict[str, str], message: str, freezing: Registry, counter: SharedCounter, tmp_path: Path
) -> None:
    job = make_job(freezing, tmp_path, **changed)
    with pytest.raises(BenchError, match=message):
        next(run_trial(job, freezing, counter=counter))


COMPILES = """
import benchbench as bb
import torch
from torch import nn

class Compiles(bb.Model, name="compiles"):
    width: int = bb.param(8, "units")

    def build(self, data):
        hidden = nn.Linear(data.num_inputs, self.width)
        network = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(self.width, data.num_classes))
        return torch.compile(network, backend="eager")

@bb.hookimpl
def benchbench_models():
    return [Compiles]
"""


@pytest.mark.slow
def test_a_plugin_that_compiles_its_network_does_so_in_every_trial(counter: SharedCounter, tmp_path: Path) -> None:
    (tmp_path / "compiles.py").write_text(COMPILES, encoding="utf-8")
    registry = Registry.load([tmp_path / "compiles.py"])
    for width in range(8, 18):
        draft = {"epochs": 1, "model": {"name": "compiles", "width": width}, "batch_size": 500}
        *_, finished = run_trial(make_job(registry, tmp_path / str(width), **draft), registry, counter=counter)
        assert isinstance(finished, Finished), finished
        (note,) = [note for note in finished.notes if "torch.compile" in note]
        assert "left" not in note
