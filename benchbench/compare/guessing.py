"""Whether a trial is better than guessing, as far as its number of test images can show."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from scipy import stats

from benchbench.compare import formatting

if TYPE_CHECKING:
    from benchbench.records.record import Record

GUESSING = 0.99
"""The quantile of random guessing up to which a trial's accuracy counts as guessing."""


def is_better_than_guessing(record: Record) -> bool:
    """Tell whether a trial is above :func:`best_guess`, and predicts more than one class."""
    return accuracy(record) > best_guess(record) and not predicts_one_class(record)


def guessing(record: Record) -> str:
    """Return what guesses achieve on as many test images, in words that follow "guessing"."""
    on_average, at_most = (f"{formatting.PERCENT * part:.1f} %" for part in (chance(record), best_guess(record)))
    seems_better = record.final is not None and record.final.test_accuracy > best_guess(record)
    more = ", and more by predicting the largest class" if seems_better else ""
    num_images = _num_images(record)
    return f"which gets {on_average} of {num_images} test images right on average and up to {at_most} by luck{more}"


def accuracy(record: Record) -> float:
    """Return the test accuracy or, if that is lower, its mean over the classes; 0 for a trial without results.

    A model that predicts the largest class for nearly all images has a high accuracy, and a mean of 1 / classes. On
    classes of equal size, both are the same.
    """
    if not record.final:
        return 0.0
    per_class = record.final.test_accuracy_per_class.values()
    return min([record.final.test_accuracy, *([math.fsum(per_class) / len(per_class)] if per_class else [])])


def chance(record: Record) -> float:
    """Return the accuracy of guessing each class equally often."""
    return 1 / max(len(record.data.class_names), 1)


def best_guess(record: Record) -> float:
    """Return the accuracy that 99 of 100 guesses do not exceed."""
    return _quantile(GUESSING, _num_images(record), chance(record))


def least_by_luck(record: Record, expected: float) -> float:
    """Return the accuracy that 99 of 100 models of this expected accuracy reach on as many test images."""
    return _quantile(1 - GUESSING, _num_images(record), expected)


def predicts_one_class(record: Record) -> bool:
    """Tell whether the model is right about all images of one class, and about no others."""
    accuracies = sorted(record.final.test_accuracy_per_class.values()) if record.final else []
    return len(accuracies) > 1 and accuracies[-1] == 1 and accuracies[-2] == 0


@lru_cache
def _quantile(probability: float, num_images: int, accuracy: float) -> float:
    return float(stats.binom.ppf(probability, num_images, accuracy)) / num_images


def _num_images(record: Record) -> int:
    return max(record.data.splits["test"].num_images, 1)
