"""Trials of a small network on handwritten digits, as a worker is asked for them."""

from pathlib import Path
from typing import Any

from benchbench.config.defaults import ArtifactLevel
from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.records.events import Event
from benchbench.records.record import Record

ADAM = {"name": "adam", "lr": 0.003}


def make_job(
    registry: Registry, folder: Path, *, device: str = "cpu", artifacts: ArtifactLevel = "none", **draft: Any
) -> TrialJob:
    table = {"model": "tiny", "dataset": "digits", "optimizer": ADAM, "epochs": 2, "batch_size": 100} | draft
    return TrialJob(
        spec=registry.resolve(Draft.from_toml(table)),
        attempt="attempt-1",
        data_root=str(folder),
        folder=str(folder / "attempt"),
        training=TrainingOptions(device=device, artifacts=artifacts),
    )


def curve(events: list[Event]) -> list[tuple[float, ...]]:
    epochs = Record.of(events).epochs
    return [(epoch.train_loss, epoch.train_accuracy, epoch.val_loss, epoch.val_accuracy) for epoch in epochs]
