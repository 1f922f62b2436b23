"""The figures of one trial, drawn from its record, its tables and the images that its worker kept."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from benchbench.config.defaults import LOSS
from benchbench.errors import error_text
from benchbench.records import file_names
from benchbench.records.tracebacks import trace
from benchbench.report.contact_sheet import as_image, draw_seen
from benchbench.report.drawing import (
    QUIET_COLOR,
    TEXT_COLOR,
    Figure,
    MaxNLocator,
    PercentFormatter,
    Rectangle,
    mark,
    save_png,
    styled,
    to_rgba,
)
from benchbench.report.kept_files import read_confusion_matrix, read_per_class, read_predicted_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from PIL.Image import Image

    from benchbench.records.events import Epoch
    from benchbench.records.journal import Journal
    from benchbench.records.record import Record
    from benchbench.report.kept_files import ClassRow, PredictedImage

# Okabe and Ito, "Color Universal Design", 2008: everyone can tell them apart, also in gray.
TRAIN_COLOR, VAL_COLOR, BAR_COLOR = "#0072B2", "#D55E00", "#0072B2"
CORRECT_COLOR, WRONG_COLOR = "#1A7F37", "#C62828"
_MAX_NUMBERED_CLASSES = 24
_MAX_NAMED_CLASSES = 100
_MAX_MARKED_EPOCHS = 40
_MAX_NAME_CHARACTERS = 24
_NUM_COLUMNS = 4


def draw(journal: Journal, note: Callable[[str], None]) -> None:
    """Write ``figures/*.png`` among the artifacts: all that can be drawn of what there is.

    ``note`` is told of a figure that cannot be drawn: the trial is done, and its tables have the numbers.
    """
    folder = journal.artifacts / file_names.FIGURES_FOLDER
    with styled():
        for name, figure in _figures(journal.record(), journal.artifacts):
            try:
                save_png(figure, folder / f"{name}.png")
            except Exception as error:  # noqa: BLE001 - matplotlib may fail over fonts, memory or a full disk
                trace(error)
                note(f"no figure {name}: {error_text(error)}")


def _figures(record: Record, folder: Path) -> Iterator[tuple[str, Figure | Image]]:
    if record.epochs:
        yield "curves", curves(record)
    if (folder / file_names.PER_CLASS).exists():
        yield "accuracy_per_class", accuracy_per_class(read_per_class(folder / file_names.PER_CLASS), record)
    if (folder / file_names.CONFUSION_MATRIX).exists():
        matrix = confusion_matrix(*read_confusion_matrix(folder / file_names.CONFUSION_MATRIX))
        matrix.suptitle(f"{title(record)}: test images by true class and prediction", fontweight="bold")
        yield "confusion_matrix", matrix
    if (folder / file_names.SAMPLES).exists():
        yield "test_images", predicted_images(read_predicted_images(folder / file_names.SAMPLES), record)
    if (folder / file_names.SEEN).exists():
        seen = draw_seen(folder / file_names.SEEN, augmentation=record.spec.augmentation.name, split_names=("train",))
        yield "training_images", seen.sheets["train"]


def curves(record: Record) -> Figure:
    """Return loss and accuracy of training and validation by epoch, with the epoch of lowest validation loss."""
    figure = Figure(figsize=(9, 3.8))
    figure.suptitle(title(record), x=0.01, ha="left", fontweight="bold")
    loss, accuracy = figure.subplots(1, 2)
    _draw_curve(loss, record.epochs, "loss")
    _draw_curve(accuracy, record.epochs, "accuracy")
    trained_by = record.spec.loss.name
    loss.set_title("cross-entropy loss" if trained_by == LOSS else f"training: {trained_by}; validation: cross-entropy")
    _leave_room_above(loss, record.epochs)
    accuracy.set_title("accuracy")
    accuracy.set_ylim(0, 1)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    _mark_best(loss, accuracy, record.epochs)
    loss.legend(frameon=False, loc="best")
    return figure


def accuracy_per_class(rows: list[ClassRow], record: Record) -> Figure:
    """Return a figure with one bar per class, in their order, with its value and its number of test images."""
    numbers = np.arange(len(rows))
    figure = Figure(figsize=(7, 1.3 + _row_inches(len(rows)) * len(rows)))
    axes = figure.subplots()
    axes.barh(numbers, [row.accuracy for row in rows], height=0.72, color=BAR_COLOR)
    for number, row in enumerate(rows):
        value = "no images" if math.isnan(row.accuracy) else f"{row.accuracy:.1%}   n={row.images}"
        start = 0 if math.isnan(row.accuracy) else row.accuracy
        axes.text(start + 0.012, number, value, va="center", fontsize=_font_size(len(rows)), color=TEXT_COLOR)
    name_rows(axes, [row.class_name for row in rows])
    axes.set_xlim(0, 1.18)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(f"{title(record)}\ntest accuracy by class", fontweight="bold")
    return figure


def confusion_matrix(
    class_names: Sequence[str], columns: Sequence[str], counts: NDArray[np.int64], *, inches: float | None = None
) -> Figure:
    """Return how many test images of each true class were predicted as which class.

    Cells are darker the larger their fraction of the true class; ``inches`` is the width of the figure.
    """
    inches = inches or min(3.2 + 0.52 * len(class_names), 15.0)
    figure = Figure(figsize=(inches, inches))
    axes = figure.subplots()
    font_size = min(_font_size(len(class_names)), 50 * inches / len(columns) / 2.6)
    opacities = np.where(counts > 0, 0.08 + 0.62 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), 0.0)
    if len(class_names) <= _MAX_NUMBERED_CLASSES:
        _draw_cells(axes, class_names, columns, counts, opacities=opacities, font_size=font_size)
    else:
        _draw_cells_as_image(axes, opacities)
    _label_axes(axes, class_names, columns, font_size=font_size)
    return figure


def _draw_cells(
    axes: Axes,
    class_names: Sequence[str],
    columns: Sequence[str],
    counts: NDArray[np.int64],
    *,
    opacities: NDArray[np.float64],
    font_size: float,
) -> None:
    totals = counts.sum(axis=1)
    for row, column in np.argwhere(counts):
        count, total = counts[row, column], totals[row]
        cell = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=BAR_COLOR, alpha=opacities[row, column])
        mark(cell, f"{class_names[row]}, predicted as {columns[column]}: {count} of {total} ({count / total:.1%})")
        axes.add_patch(cell)
        axes.text(column, row, str(count), ha="center", va="center", color=TEXT_COLOR, fontsize=font_size)


def _draw_cells_as_image(axes: Axes, opacities: NDArray[np.float64]) -> None:
    # Thousands of cells drawn one by one take a minute and megabytes.
    cells = np.full((*opacities.shape, 4), to_rgba(BAR_COLOR))
    cells[..., 3] = opacities
    axes.imshow(cells, interpolation="nearest")


def _label_axes(axes: Axes, class_names: Sequence[str], columns: Sequence[str], *, font_size: float) -> None:
    # Names that cannot stand side by side are left out, evenly.
    every = math.ceil(len(class_names) / _MAX_NAMED_CLASSES)
    column_names, row_names = ([short(name) for name in names[::every]] for names in (columns, class_names))
    axes.set_xticks(range(0, len(columns), every), column_names, rotation=90, fontsize=font_size)
    axes.set_yticks(range(0, len(class_names), every), row_names, fontsize=font_size)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(class_names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    axes.set_xlabel("prediction")
    axes.set_ylabel("true class")


def predicted_images(images: list[PredictedImage], record: Record) -> Figure:
    """Return test images, each with its prediction: in green with a check mark, or in red with a cross."""
    num_rows = max(1, math.ceil(len(images) / _NUM_COLUMNS))
    figure = Figure(figsize=(2.3 * _NUM_COLUMNS, 0.5 + 2.7 * num_rows))
    figure.suptitle(f"{title(record)}: test images", x=0.01, ha="left", fontweight="bold")
    for axes in figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False).flat:
        axes.axis("off")
    for axes, image in zip(figure.axes, images, strict=False):
        show_image(axes, image.image)
        axes.set_title(
            caption_of(image), color=CORRECT_COLOR if image.is_correct else WRONG_COLOR, fontsize=9, loc="center"
        )
    return figure


def caption_of(image: PredictedImage) -> str:
    """Return ``goldfish ✓ 97%``, or ``bullfrog ✗ 61%`` above ``is goldfish``."""
    symbol = "✓" if image.is_correct else "✗"
    line = f"{short(image.prediction)} {symbol} {image.probability:.0%}"
    return line if image.is_correct else f"{line}\nis {short(image.class_name)}"


def title(record: Record) -> str:
    """Return what was trained, and how far if it was not to the end."""
    spec = record.spec
    name = f"{spec.model.name} · {spec.optimizer.name} · {spec.dataset.name} · seed {spec.seed}"
    if record.status == "finished":
        return name
    return f"{name} · {record.status} after {len(record.epochs)} of {spec.epochs} epochs"


def short(name: str) -> str:
    """Return a class's name, shortened if it is too long to be drawn."""
    return name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[: _MAX_NAME_CHARACTERS - 1]}…"


def _draw_curve(axes: Axes, epochs: tuple[Epoch, ...], measure: str) -> None:
    numbers = [epoch.epoch for epoch in epochs]
    marker = "o" if len(epochs) <= _MAX_MARKED_EPOCHS else ""
    for split, name, color in (("train", "training", TRAIN_COLOR), ("val", "validation", VAL_COLOR)):
        values = [getattr(epoch, f"{split}_{measure}") for epoch in epochs]
        axes.plot(numbers, values, color=color, marker=marker, markersize=3.5, linewidth=1.6, label=name)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, numbers[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _leave_room_above(loss: Axes, epochs: tuple[Epoch, ...]) -> None:
    values = [value for epoch in epochs for value in (epoch.train_loss, epoch.val_loss) if math.isfinite(value)]
    loss.set_ylim(1.1 * min([0.0, *values]), 1.1 * max(values, default=1.0) or 1.0)


def _mark_best(loss: Axes, accuracy: Axes, epochs: tuple[Epoch, ...]) -> None:
    finite = [epoch for epoch in epochs if math.isfinite(epoch.val_loss)]
    if not finite:
        return
    best = min(finite, key=lambda epoch: epoch.val_loss)
    label = f"lowest validation loss: {best.val_loss:.3f}, epoch {best.epoch}"
    for axes, value in ((loss, best.val_loss), (accuracy, best.val_accuracy)):
        axes.axvline(best.epoch, color=QUIET_COLOR, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.plot(best.epoch, value, marker="*", markersize=12, color=VAL_COLOR, linestyle="", label=label, zorder=4)


def show_image(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw an image, uint8 ``[C, H, W]``, in color or its first channel in gray."""
    axes.imshow(as_image(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, the first at the top."""
    lines = ["\n".join(textwrap.wrap(short(name), _MAX_NAME_CHARACTERS)) for name in names]
    axes.set_yticks(range(len(names)), lines, fontsize=_font_size(len(names)))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _row_inches(num_rows: int) -> float:
    return 0.3 if num_rows <= _MAX_NUMBERED_CLASSES else 0.14


def _font_size(num_classes: int) -> int:
    return 9 if num_classes <= _MAX_NUMBERED_CLASSES else 5
