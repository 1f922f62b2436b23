"""The names of a trial's numbers, as MLflow, comparisons and reports use them."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchbench.records.events import EpochFinished, Final, Times

MAX_CLASS_METRICS = 20
_MAX_CLASS_CHARACTERS = 200
"""MLflow takes 250 for a metric's whole name, mlflow/utils/validation.py."""


def class_slugs(class_names: tuple[str, ...]) -> dict[str, str]:
    """Return a metric name for each class, in characters that MLflow takes; no two are equal, case apart."""
    slugs = {
        class_name: re.sub(r"[^\w\-]+", "_", class_name).strip("_")[:_MAX_CLASS_CHARACTERS]
        for class_name in class_names
    }
    taken = [slug.casefold() for slug in slugs.values()]
    return {
        # No slug has a dot of its own, so that one with a number behind a dot equals no other.
        class_name: slug if slug and taken.count(slug.casefold()) == 1 else f"{slug or 'class'}.{number}"
        for number, (class_name, slug) in enumerate(slugs.items())
    }


def epoch_values(event: EpochFinished) -> dict[str, float]:
    """Return the metrics of an epoch; what the machine did meanwhile has the prefix ``system/``."""
    values = asdict(event.epoch) | {f"system/{name}": value for name, value in event.system.items()}
    del values["epoch"]
    # Facts of the machine, as the others are.
    values["system/peak_memory_megabytes"] = values.pop("peak_memory_bytes") / 1e6
    values["system/noisy"] = values.pop("noisy")
    return {name: float(value) for name, value in values.items()}


def final_values(final: Final) -> dict[str, float]:
    """Return the metrics of the trained model; those of single classes for up to twenty classes."""
    values: dict[str, float] = {
        "final_train_accuracy": final.train_accuracy,
        "final_train_loss": final.train_loss,
        "final_val_accuracy": final.val_accuracy,
        "final_val_loss": final.val_loss,
        "test_accuracy": final.test_accuracy,
        "test_loss": final.test_loss,
        "test_top5_accuracy": final.test_top5_accuracy,
        "best_val_loss_epoch": final.best_val_loss_epoch,
    }
    if final.overfit_epoch is not None:
        values["overfit_epoch"] = final.overfit_epoch
    per_class = final.test_accuracy_per_class
    if len(per_class) <= MAX_CLASS_METRICS:
        slugs = class_slugs(tuple(per_class))
        values |= {f"test_accuracy/{slugs[class_name]}": accuracy for class_name, accuracy in per_class.items()}
    return values


def time_values(times: Times) -> dict[str, float]:
    """Return the metrics of a trial's clock."""
    seconds = {f"time/{phase}_seconds": seconds for phase, seconds in asdict(times).items()}
    return seconds | {
        "time/overhead_fraction": times.overhead_fraction,
        "time/not_training_fraction": times.not_training_fraction,
    }
