"""The same work as a worker of benchbench does it: a resolved spec, prepared, trained and evaluated."""

from __future__ import annotations

import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from work import LEARNING_RATE, MOMENTUM, WARMUP_STEPS, Work, read_work, report

from benchbench.config.kinds import KINDS
from benchbench.config.spec import Draft
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.worker.accelerate import accelerate, choose_device, keep_freed_memory
from benchbench.worker.setup import ReadyTrial, prepare
from benchbench.worker.train import evaluate, train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.worker.accelerate import Acceleration


def draft_of(work: Work) -> Draft:
    """Return the work as a trial that anyone may ask for."""
    model = "alexnet" if work.model == "alexnet" else {"name": "timm", "architecture": work.model}
    adam = {"name": "adam", "lr": LEARNING_RATE}
    sgd = {"name": "sgd", "lr": LEARNING_RATE, "momentum": MOMENTUM}
    return Draft.from_toml(
        {
            "model": model,
            "dataset": {"name": "tinyimage10", "image_size": work.image_size},
            "augmentation": "flip",
            "optimizer": adam if work.optimizer == "adam" else sgd,
            "epochs": 1,
            "batch_size": work.batch_size,
            "precision": work.precision,
        }
    )


def prepared(
    work: Work, folder: Path, *, adapt: Callable[[Acceleration], Acceleration] = lambda acceleration: acceleration
) -> ReadyTrial:
    """Return the trial as it stands before its first batch, accelerated as usual or as ``adapt`` makes of that."""
    draft = draft_of(work)
    registry = Registry.load(only={f"benchbench:{name}" for name in _plugins(draft)})
    job = TrialJob(
        spec=registry.resolve(draft),
        attempt="benchmark",
        data_root=str(work.archive),
        folder=str(folder),
    )
    acceleration = adapt(accelerate(choose_device("cpu"), job.spec.precision))
    return prepare(job, registry, acceleration, on_status=lambda _: None)


def _plugins(draft: Draft) -> set[str]:
    """Return the plugins to load; a worker of ``bench run`` loads no others either."""
    return {draft.plugin(kind).name for kind in KINDS}


def run(work: Work, folder: Path) -> None:
    """Warm up, train, validate and report."""
    trial = prepared(work, folder)
    learner, counter = trial.learner, SharedCounter(folder / "counter")
    train_epoch(learner, islice(trial.train.shuffled(seed=0, epoch=1), WARMUP_STEPS), counter=counter)
    began = time.perf_counter()
    train_epoch(learner, islice(trial.train.shuffled(seed=0, epoch=2), work.steps), counter=counter)
    trained = time.perf_counter()
    evaluate(learner, trial.val, counter=counter)
    finished = time.perf_counter()
    num_steps = len(trial.train) if work.steps is None else work.steps
    num_images = min(num_steps * work.batch_size, trial.train.num_images)
    report(train_seconds=trained - began, num_images=num_images, eval_seconds=finished - trained)


if __name__ == "__main__":
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        run(read_work(), Path(temporary))
