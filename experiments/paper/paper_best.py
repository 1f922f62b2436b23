"""Figures 2, 7, 8 and 9: what there is to see, and what the best trial makes of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from benchbench.compare.intervals import wilson
from benchbench.data.kept_images import Samples
from benchbench.records import file_names
from benchbench.report.drawing import QUIET_COLOR, Figure, PercentFormatter
from benchbench.report.kept_files import read_per_class, read_predicted_images
from benchbench.report.run_figures import (
    BAR_COLOR,
    predicted_images,
    short,
    show_image,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchbench.report.trial_files import TrialFiles

NO_TRIAL = "no trial has finished"
NO_IMAGES = "kept no images: --artifacts full keeps them"
CONFIDENCE = 0.95
_MAX_CLASSES = 50
_MAX_LARGE = 24
_NUM_BLOCKS = 5


def samples(trials: Iterable[TrialFiles]) -> Figure | str:
    """Return training images of each class, of the first trial that kept some."""
    for trial in trials:
        path = trial.artifacts / file_names.SAMPLES
        if path.exists():
            return _samples(path, trial.record.spec.dataset.name)
    return f"the trials {NO_IMAGES}"


def predictions(best: TrialFiles | None, *, is_right: bool) -> Figure | str:
    """Return the test images that the best trial was right about, or wrong."""
    if best is None:
        return NO_TRIAL
    path = best.artifacts / file_names.SAMPLES
    if not path.exists():
        return f"the best trial {NO_IMAGES}"
    word = "right" if is_right else "wrong"
    images = [image for image in read_predicted_images(path) if image.is_correct == is_right]
    if not images:
        return f"no test image that was kept was predicted {word}"
    figure = predicted_images(images, best.record)
    figure.suptitle(f"{title(best.record)}: {word} predictions", x=0.01, ha="left", fontweight="bold")
    return figure


def classes(best: TrialFiles | None) -> Figure | str:
    """Return the test accuracy of the best trial by class, with Wilson's intervals.

    They are of this one trained model on more images, not of other seeds.
    """
    if best is None:
        return NO_TRIAL
    path = best.artifacts / file_names.PER_CLASS
    if not path.exists():
        return "the best trial kept no per_class.csv"
    rows = [row for row in read_per_class(path) if row.images]
    intervals = [wilson(row.accuracy, row.images, confidence=CONFIDENCE) for row in rows]
    low, high = (np.array([getattr(interval, end) for interval in intervals]) for end in ("low", "high"))
    inches, size = (0.3, 9) if len(rows) <= _MAX_LARGE else (0.14, 5)
    figure = Figure(figsize=(8, 1.5 + inches * len(rows)))
    axes = figure.subplots()
    numbers, shares = np.arange(len(rows)), np.array([row.accuracy for row in rows])
    axes.errorbar(shares, numbers, xerr=(shares - low, high - shares), fmt="o", color=BAR_COLOR, capsize=3)
    for number, row in enumerate(rows):
        words = f"{row.accuracy:.1%}  [{low[number]:.1%}, {high[number]:.1%}]  n={row.images}"
        axes.text(1.03, number, words, va="center", fontsize=size, transform=axes.get_yaxis_transform())
    axes.set_yticks(numbers, [short(row.class_name) for row in rows], fontsize=size)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(f"{title(best.record)}\ntest accuracy by class", fontweight="bold")
    axes.set_xlabel(f"{CONFIDENCE:.0%} intervals (Wilson) of this trained model", color=QUIET_COLOR)
    return figure


def _samples(path: Path, dataset: str) -> Figure:
    kept = Samples.load(path)
    names, images, numbers = kept.class_names, kept.train_images, kept.train_labels
    shown = names[:_MAX_CLASSES]
    num_rows = math.ceil(len(shown) / _NUM_BLOCKS)
    figure = Figure(figsize=(2.2 * _NUM_BLOCKS, 0.45 + 1.27 * num_rows))
    count = f"{len(shown)} of {len(names)} classes" if len(shown) < len(names) else f"{len(names)} classes"
    figure.suptitle(f"{dataset}: training images, {count}", x=0.01, ha="left", fontweight="bold")
    outer = figure.subfigures(num_rows, _NUM_BLOCKS, squeeze=False)
    for number, block in enumerate(outer.flat):
        if number >= len(shown):
            continue
        block.suptitle(short(str(shown[number])), fontsize=9)
        chosen = images[numbers == number]
        for axes, image in zip(block.subplots(1, len(chosen), squeeze=False).flat, chosen, strict=True):
            axes.axis("off")
            show_image(axes, image)
    return figure
