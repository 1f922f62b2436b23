"""The numbers of a trial: what MLflow gets of its events, and the names, units and better values of all metrics."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, NamedTuple

from benchbench.config.compare_section import EPOCHS_TO, TIME_PREFIX, is_of_target, plain_name, target_names
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.config.compare_section import Expected, Question
    from benchbench.records.events import EpochFinished, Final, Times

FINAL_TRAIN_ACCURACY = "final_train_accuracy"
FINAL_TRAIN_LOSS = "final_train_loss"
FINAL_VAL_ACCURACY = "final_val_accuracy"
FINAL_VAL_LOSS = "final_val_loss"
TEST_ACCURACY = "test_accuracy"
TEST_LOSS = "test_loss"
TEST_TOP5_ACCURACY = "test_top5_accuracy"
BEST_VAL_LOSS_EPOCH = "best_val_loss_epoch"
WALL_SECONDS = f"{TIME_PREFIX}wall_seconds"

MEDIAN_EPOCH_SECONDS = "median_epoch_seconds"
MEDIAN_IMAGES_PER_SECOND = "median_images_per_second"
PEAK_MEMORY_BYTES = "peak_memory_bytes"
RATIO_TO_BASELINE = "ratio_to_baseline"
RATIO_LOW = "ratio_low"
RATIO_HIGH = "ratio_high"
"""These are of a timed variant, over all rounds."""

Unit = Literal["fraction", "nats", "seconds", "images/s", "epochs", ""]
Better = Literal["higher", "lower", "neither"]


class Meaning(NamedTuple):
    """The unit of a metric's values, and which of them are better.

    If it is ``of_each_epoch``, :class:`~benchbench.records.events.Epoch` has a field of its name, and comparisons use
    the value of the last epoch.
    """

    unit: Unit
    better: Better
    of_each_epoch: bool = False


METRICS: dict[str, Meaning] = {
    FINAL_TRAIN_ACCURACY: Meaning("fraction", "higher"),
    FINAL_TRAIN_LOSS: Meaning("nats", "lower"),
    FINAL_VAL_ACCURACY: Meaning("fraction", "higher"),
    FINAL_VAL_LOSS: Meaning("nats", "lower"),
    TEST_ACCURACY: Meaning("fraction", "higher"),
    TEST_LOSS: Meaning("nats", "lower"),
    TEST_TOP5_ACCURACY: Meaning("fraction", "higher"),
    BEST_VAL_LOSS_EPOCH: Meaning("epochs", "neither"),
    "overfit_epoch": Meaning("epochs", "neither"),
    "selected_epoch": Meaning("epochs", "neither"),
    # Whole phases, which MLflow shows with TIME_PREFIX.
    "load_seconds": Meaning("seconds", "lower"),
    "train_seconds": Meaning("seconds", "lower"),
    "eval_seconds": Meaning("seconds", "lower"),
    "checkpoint_seconds": Meaning("seconds", "lower"),
    "other_seconds": Meaning("seconds", "lower"),
    "wall_seconds": Meaning("seconds", "lower"),
    "first_epoch_train_seconds": Meaning("seconds", "lower"),
    "train_loss": Meaning("nats", "lower", of_each_epoch=True),
    "train_accuracy": Meaning("fraction", "higher", of_each_epoch=True),
    "val_loss": Meaning("nats", "lower", of_each_epoch=True),
    "val_accuracy": Meaning("fraction", "higher", of_each_epoch=True),
    "learning_rate": Meaning("", "neither", of_each_epoch=True),
    # Over the epochs, see compare/metric_values.py.
    "seconds_per_epoch": Meaning("seconds", "lower"),
    "images_per_second": Meaning("images/s", "higher"),
}
"""Every number that a finished trial can have, but for those of single classes and targets: see :func:`meaning_of`."""

OF_AN_EPOCH = tuple(name for name, (_, better, is_of_epoch) in METRICS.items() if is_of_epoch and better != "neither")
"""What is measured after every epoch, and is better if it is higher or lower: a target can be set for it."""

MAX_CLASS_METRICS = 20
_MAX_CLASS_CHARACTERS = 200
"""MLflow takes 250 for a metric's whole name, mlflow/utils/validation.py."""


def meaning_of(name: str) -> Meaning:
    """Return the unit of a metric, and which of its values are better.

    Raises :class:`~benchbench.errors.SpecError` for an unknown metric: one that is not in :data:`METRICS`, and neither
    that of a class nor of a target.
    """
    name = plain_name(name)
    if is_of_target(name):
        return Meaning("epochs" if name.startswith(EPOCHS_TO) else "seconds", "lower")
    if _is_of_class(name):
        return METRICS[TEST_ACCURACY]
    if name not in METRICS:
        raise SpecError(
            f"unknown metric {name!r}: benchbench knows neither its unit nor which of its values are better",
            hint=closest(name, METRICS) or f"known metrics: {', '.join(METRICS)}",
        )
    return METRICS[name]


def _is_of_class(name: str) -> bool:
    return name.startswith(f"{TEST_ACCURACY}/")


def class_slugs(class_names: tuple[str, ...]) -> dict[str, str]:
    """Return a metric name for each class, in characters that MLflow takes; no two are equal, case apart."""
    slugs = {class_name: _slug(class_name) for class_name in class_names}
    taken = [slug.casefold() for slug in slugs.values()]
    return {
        # No slug has a dot of its own, so that one with a number behind a dot equals no other.
        class_name: slug if slug and taken.count(slug.casefold()) == 1 else f"{slug or 'class'}.{number}"
        for number, (class_name, slug) in enumerate(slugs.items())
    }


def class_metric(name: str) -> str:
    """Return the metric that is meant by ``test_accuracy/CLASS`` with a class's own name; others are as they are."""
    prefix, slash, class_name = name.partition("/")
    return f"{prefix}/{_slug(class_name)}" if slash and prefix == TEST_ACCURACY else name


def _slug(class_name: str) -> str:
    return re.sub(r"[^\w\-]+", "_", class_name).strip("_")[:_MAX_CLASS_CHARACTERS]


def epoch_values(event: EpochFinished) -> dict[str, float]:
    """Return the metrics of an epoch: its clocks as ``epoch/``, what the machine did meanwhile as ``system/``.

    Without the prefix, comparisons call by the same names what these are over the whole trial.
    """
    values = asdict(event.epoch) | {f"system/{name}": value for name, value in event.system.items()}
    del values["epoch"]
    for name in ("train_seconds", "eval_seconds", "images_per_second"):
        values[f"epoch/{name}"] = values.pop(name)
    # Facts of the machine, as the others are.
    values["system/peak_memory_megabytes"] = values.pop("peak_memory_bytes") / 1e6
    values["system/noisy"] = values.pop("noisy")
    return {name: float(value) for name, value in values.items() if value is not None}


def final_values(final: Final) -> dict[str, float | None]:
    """Return all metrics of the trained model, those of each class included; None for an epoch that there is not."""
    per_class = final.test_accuracy_per_class
    slugs = class_slugs(tuple(per_class))
    return {
        FINAL_TRAIN_ACCURACY: final.train_accuracy,
        FINAL_TRAIN_LOSS: final.train_loss,
        FINAL_VAL_ACCURACY: final.val_accuracy,
        FINAL_VAL_LOSS: final.val_loss,
        TEST_ACCURACY: final.test_accuracy,
        TEST_LOSS: final.test_loss,
        TEST_TOP5_ACCURACY: final.test_top5_accuracy,
        BEST_VAL_LOSS_EPOCH: final.best_val_loss_epoch,
        "overfit_epoch": final.overfit_epoch,
        "selected_epoch": final.selected_epoch,
        **{f"{TEST_ACCURACY}/{slugs[class_name]}": accuracy for class_name, accuracy in per_class.items()},
    }


def logged_final_values(final: Final) -> dict[str, float]:
    """Return the metrics of the trained model that MLflow shows; those of single classes for up to twenty classes."""
    has_few_classes = len(final.test_accuracy_per_class) <= MAX_CLASS_METRICS
    return {
        name: value
        for name, value in final_values(final).items()
        if value is not None and (has_few_classes or not _is_of_class(name))
    }


def time_values(times: Times) -> dict[str, float]:
    """Return the metrics of a trial's clock."""
    seconds = {f"{TIME_PREFIX}{phase}_seconds": seconds for phase, seconds in asdict(times).items()}
    return seconds | {
        f"{TIME_PREFIX}overhead_fraction": times.overhead_fraction,
        f"{TIME_PREFIX}not_training_fraction": times.not_training_fraction,
    }


def check_value(name: str, value: float, *, where: str) -> None:
    """Raise :class:`~benchbench.errors.SpecError` for an accuracy that is no fraction, such as 54.6 for 0.546."""
    if meaning_of(name).unit == "fraction" and not 0 <= value <= 1:
        hint = f"write {value / 100:g} for {value:g} %" if 1 < value <= 100 else ""  # noqa: PLR2004 - percent
        raise SpecError(f"{where}: accuracies are fractions from 0 to 1, not {value:g}", hint=hint)


def check_target(metric: str, value: float) -> None:
    """Raise :class:`~benchbench.errors.SpecError` for what no epoch has, and for a value in another unit."""
    if metric not in OF_AN_EPOCH:
        hint = closest(metric, OF_AN_EPOCH) or f"choose from {', '.join(OF_AN_EPOCH)}"
        raise SpecError(f"no target can be set for {metric!r}: it is not measured after every epoch", hint=hint)
    if not math.isfinite(value):
        raise SpecError(f"the target {metric}={value:g} is not a finite number", hint="such as val_accuracy=0.5")
    check_value(metric, value, where=f"the target {metric}={value:g}")


def check_question(question: Question, expected: Iterable[Expected] = ()) -> None:
    """Check the metrics and targets that a grid file names, before anything is trained.

    Raises :class:`~benchbench.errors.SpecError` with the closest name for a metric that no trial can have.
    """
    for name, value in question.targets.items():
        check_target(name, value)
    of_targets = {metric for name, value in question.targets.items() for metric in target_names(name, value)}
    known, expected = (*METRICS, *of_targets), tuple(expected)
    for name in (*question.metrics, *(row.metric for row in expected)):
        plain = plain_name(name)
        if is_of_target(plain) and plain not in known:
            raise SpecError(
                f"no target of [compare] has the metric {name!r}", hint="targets = { val_accuracy = 0.5 }, for example"
            )
        if plain not in known and not _is_of_class(plain):
            hint = closest(name, known) or f"metrics: {', '.join(known)}, test_accuracy/<class>"
            raise SpecError(f"no trial has a metric {name!r}", hint=hint)
    for number, row in enumerate(expected, start=1):
        check_value(row.metric, row.value, where=f"[[expected]] {number}")
