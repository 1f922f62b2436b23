"""Journals of trials that never ran, for the tests of what reads journals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchbench.config.spec import PluginSpec, Spec
from benchbench.records.events import (
    DataFacts,
    Epoch,
    EpochFinished,
    Error,
    Failed,
    Final,
    Finished,
    Resumed,
    SplitFacts,
    Started,
    Times,
)
from benchbench.records.journal import Journal
from benchbench.records.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.records.events import Event

CLASSES = ("goldfish", "bullfrog", "Persian cat")
START_MS = 1_700_000_000_000
SPEC = Spec(
    dataset=PluginSpec("squares", 1, {"mean": [0.5], "image_size": 16}),
    augmentation=PluginSpec("flip", 1, {"p": 0.5}),
    model=PluginSpec("alexnet", 2, {"dropout": 0.5, "num_classes": None}),
    loss=PluginSpec("cross_entropy", 1, {"label_smoothing": 0.0, "class_weights": "none"}),
    optimizer=PluginSpec("sgd", 1, {"lr": 0.001, "momentum": 0.9, "nesterov": False}),
    scheduler=PluginSpec("constant", 1, {}),
    epochs=3,
    batch_size=12,
    seed=7,
    precision="fp32",
    ema_decay=None,
    select="last",
)
MACHINE = Machine(
    hostname="testhost",
    system="Linux 6.1",
    processor="Some Processor",
    num_cores=2,
    memory_bytes=8_000_000_000,
    device="cpu",
    device_name="Some Processor",
    num_threads=2,
    versions={"python": "3.11.7", "torch": "2.14.1"},
    git_commit="0123456789abcdef",
)


def started(attempt: str = "20260101-000000-abcdef01", *, class_names: tuple[str, ...] = CLASSES) -> Started:
    """Return the first event of a trial."""
    return Started(
        attempt=attempt,
        spec=SPEC,
        data=DataFacts(
            digest="d" * 64,
            class_names=class_names,
            splits={
                "train": SplitFacts(10, "t" * 64),
                "val": SplitFacts(20, "v" * 64),
                "test": SplitFacts(30, "t" * 64),
            },
            source="https://user:secret@example.org/squares.zip",
            image_shape=(3, 16, 16),
        ),
        machine=MACHINE,
        acceleration={"compile": "off", "channels_last": "on"},
        num_parameters=12345,
        plugin_origins={"model": "benchbench:alexnet", "dataset": "squares.py"},
        plugin_sources={"model": "a" * 64, "dataset": "b" * 64},
        plugin_files=("/plugins/squares.py",),
        timestamp_ms=START_MS,
    )


def epoch(number: int, *, val_loss: float | None = None) -> EpochFinished:
    """Return an epoch of a trial that learns, second by second."""
    return EpochFinished(
        epoch=Epoch(
            epoch=number,
            train_loss=2.0 / number,
            train_accuracy=1 - 0.5 / number,
            val_loss=2.2 / number if val_loss is None else val_loss,
            val_accuracy=1 - 0.6 / number,
            train_seconds=1.5,
            eval_seconds=0.25,
            images_per_second=800.0,
            learning_rate=0.001,
        ),
        system={"cpu_utilization_percentage": 93.0},
        timestamp_ms=START_MS + 1000 * number,
    )


def finished(*, class_names: tuple[str, ...] = CLASSES, overfit_epoch: int | None = None) -> Finished:
    """Return the last event of a trial of three epochs."""
    return Finished(
        final=Final(
            train_accuracy=0.9,
            train_loss=0.3,
            val_accuracy=0.8,
            val_loss=0.6,
            test_accuracy=0.75,
            test_loss=0.7,
            test_top5_accuracy=1.0,
            test_accuracy_per_class={name: number / len(class_names) for number, name in enumerate(class_names)},
            best_val_loss_epoch=3,
            overfit_epoch=overfit_epoch,
        ),
        times=Times(load=1.0, train=4.5, eval=0.75, other=0.25, wall=6.5, first_epoch_train=1.5),
        notes=("a note",),
        timestamp_ms=START_MS + 10_000,
    )


def resumed(num_epochs: int) -> Resumed:
    return Resumed(num_epochs=num_epochs, machine=MACHINE, timestamp_ms=START_MS + 50_000)


def failed(*, status: str = "failed") -> Failed:
    """Return the last event of a trial that was killed or broke."""
    return Failed(
        status="killed" if status == "killed" else "failed",
        error=Error(kind="NonFiniteLossError", message="train loss became nan in epoch 2", hint="a lower --lr helps"),
        times=Times(train=3.0, wall=3.5),
        timestamp_ms=START_MS + 9_000,
    )


def write_journal(root: Path, *events: Event) -> Journal:
    """Return a journal under ``root`` that holds the events, of which the first has the attempt."""
    first = events[0]
    assert isinstance(first, Started)
    journal = Journal(root / first.attempt)
    for event in events:
        journal.append(event)
    return journal


NAN_EPOCH = epoch(2, val_loss=math.nan)
