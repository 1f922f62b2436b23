"""Whether a trial is better than guessing, as far as its number of test images can show."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

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
    return f"which gets {on_average} of {_num_images(record)} test images right on average and up to {at_most} by luck"


def accuracy(record: Record) -> float:
    """Return the test accuracy; 0 for a trial without results."""
    return record.final.test_accuracy if record.final else 0.0


def chance(record: Record) -> float:
    """Return the accuracy of guessing each class equally often."""
    return 1 / max(len(record.data.class_names), 1)


def best_guess(record: Record) -> float:
    """Return the accuracy that 99 of 100 guesses do not exceed."""
    return _best_guess(_num_images(record), chance(record))


def predicts_one_class(record: Record) -> bool:
    """Tell whether the model is right about all images of one class, and about no others."""
    accuracies = sorted(record.final.test_accuracy_per_class.values()) if record.final else []
    return len(accuracies) > 1 and accuracies[-1] == 1 and accuracies[-2] == 0


@lru_cache
def _best_guess(num_images: int, chance: float) -> float:
    from scipy.special import bdtrik  # at the end of a bench run, where scipy.stats would take a second

    return math.ceil(float(bdtrik(GUESSING, num_images, chance))) / num_images


def _num_images(record: Record) -> int:
    return max(record.data.splits["test"].num_images, 1)
