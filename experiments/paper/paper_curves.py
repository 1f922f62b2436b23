"""Figures 3 to 6: curves by epoch, of all trials and by what varies between them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchbench.config.differences import describe_spec
from benchbench.config.values import value_text
from benchbench.report.drawing import QUIET_COLOR, Figure, MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from benchbench.records.record import Record
    from benchbench.report.trial_files import TrialFiles

# Okabe and Ito's colors that can be seen on white. Seven and four have no common divisor, so 28 lines differ.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", (0, (5, 2)), (0, (5, 2, 1, 2)), (0, (1, 1.5)))
SPLITS = {"train": "training", "val": "validation"}
_MAX_LINES = 14
_RATIO_FOR_LOG = 20
_SIZE = (10.0, 4.2)
_LEGEND_INCHES = 0.17
_LINE_CHARACTERS = 140
"""What of a legend fits beside each other."""


def by_parameter(trials: Sequence[TrialFiles], keys: Sequence[str], key: str) -> Figure | str:
    """Return accuracy by epoch for each value of a parameter: means with bands of one standard deviation.

    Means are of the trials that finished. The legend has the number of those that did not.
    """
    values = {value_text(trial.record.spec.flat()[key]): None for trial in trials if key in trial.record.spec.flat()}
    groups = {value: [trial.record for trial in trials if _value(trial, key) == value] for value in values}
    frame = _frame(trials, key)
    if frame["value"].nunique() < 2:  # noqa: PLR2004 - a difference takes two
        return f"fewer than two values of {key} have a finished trial"
    if len(groups) > _MAX_LINES:
        return f"{key} has {len(groups)} values, more than can be told apart"
    figure, panels = _panels("accuracy")
    for number, (value, records) in enumerate(groups.items()):
        own = frame[frame["value"] == value].groupby("epoch")
        for split, axes in panels.items():
            means = own[split].agg(["mean", "std", "count"])
            # Beyond the end of the shortest trial, a mean would be one of other trials, and jump.
            is_of_all = means["count"] == means["count"].max()
            _draw_band(axes, means[is_of_all], number, _count(value, records))
    _end(figure, panels["val"], f"Accuracy by {key.replace('_', ' ')}", _pooled(groups, keys, key))
    return figure


def all_trials(ranked: Sequence[TrialFiles], keys: Sequence[str], measure: str) -> Figure | str:
    """Return ``accuracy`` or ``loss`` by epoch of every trial that came so far; ``ranked`` has the best one first.

    If there are too many to tell apart, only the best one has a color.
    """
    records = [trial.record for trial in ranked if trial.record.epochs]
    if not records:
        return "no trial has finished an epoch"
    figure, panels = _panels(measure)
    for split, axes in panels.items():
        for number, record in enumerate(records):
            _draw_trial(axes, record, f"{split}_{measure}", _look(number, len(records), record, keys))
        if measure == "loss":
            _fit_losses(axes, [getattr(epoch, f"{split}_loss") for record in records for epoch in record.epochs])
    is_cut_short = any(record.status != "finished" for record in records)
    early = "; a cross where a trial ended early" if is_cut_short else ""
    title = f"{measure.capitalize()} of {len(records)} trial{'s' if len(records) > 1 else ''}"
    _end(figure, panels["val"], title, f"in the order of validation accuracy, the best first{early}")
    return figure


def _frame(trials: Sequence[TrialFiles], key: str) -> pd.DataFrame:
    rows = [
        {
            "value": _value(trial, key),
            "epoch": epoch.epoch,
            "train": epoch.train_accuracy,
            "val": epoch.val_accuracy,
        }
        for trial in trials
        if trial.record.status == "finished"
        for epoch in trial.record.epochs
    ]
    return pd.DataFrame(rows, columns=["value", "epoch", "train", "val"])


def _value(trial: TrialFiles, key: str) -> str | None:
    flat = trial.record.spec.flat()
    return value_text(flat[key]) if key in flat else None


def _count(value: str, records: Sequence[Record]) -> str:
    num_finished = sum(record.status == "finished" for record in records)
    text = f"{value} (n={num_finished})"
    return text if num_finished == len(records) else f"{text}, {len(records) - num_finished} not finished"


def _pooled(groups: dict[str, list[Record]], keys: Sequence[str], key: str) -> str:
    """Return what the lines are means over."""
    others = [
        other
        for other in keys
        if other != key
        and any(len({value_text(record.spec.flat().get(other)) for record in group}) > 1 for group in groups.values())
    ]
    if not others:
        return "one trial each"
    return f"means over trials that differ in {', '.join(others)}; bands: ± one standard deviation"


def _panels(measure: str) -> tuple[Figure, dict[str, Axes]]:
    figure = Figure(figsize=_SIZE)
    panels = dict(zip(SPLITS, figure.subplots(1, 2, sharey=measure == "accuracy"), strict=True))
    for split, axes in panels.items():
        axes.set_title(f"{SPLITS[split]} {measure}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if measure == "accuracy":
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    return figure, panels


def _draw_band(axes: Axes, means: pd.DataFrame, number: int, name: str) -> None:
    epochs, middle = means.index.to_numpy(), means["mean"].to_numpy()
    color, dashes = COLORS[number % len(COLORS)], DASHES[number % len(DASHES)]
    axes.plot(epochs, middle, color=color, linestyle=dashes, marker=_marker(len(epochs)), markersize=3.5, label=name)
    spread = means["std"].fillna(0).to_numpy()
    axes.fill_between(epochs, middle - spread, middle + spread, color=color, alpha=0.15, linewidth=0)


def _look(number: int, num_records: int, record: Record, keys: Sequence[str]) -> dict[str, object]:
    """Return how a trial's line is drawn, and what it is called."""
    name = describe_spec(record.spec, keys) or describe_spec(record.spec, ("seed",))
    if len({key.rpartition(".")[2] for key in keys}) == len(keys):
        name = re.sub(r"(?<!\S)\w+\.(?=\w+=)", "", name)  # lr=0.1 for optimizer.lr=0.1
    if record.status != "finished":
        name += f" ({record.status})"
    if num_records <= _MAX_LINES:
        return {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number % len(DASHES)], "label": name}
    if number == 0:
        return {"color": COLORS[0], "linewidth": 2.2, "label": name}
    others = f"{num_records - 1} others" if number == 1 else None
    return {"color": QUIET_COLOR, "linewidth": 0.7, "alpha": 0.5, "label": others}


def _draw_trial(axes: Axes, record: Record, name: str, look: dict[str, object]) -> None:
    epochs = [epoch.epoch for epoch in record.epochs]
    values = [getattr(epoch, name) for epoch in record.epochs]
    # What is drawn first, the better trial, stays on top.
    depth = 3 - len(axes.lines) / 1000
    axes.plot(epochs, values, marker=_marker(len(epochs)), markersize=3, zorder=depth, **look)  # type: ignore[arg-type]
    known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if math.isfinite(value)]
    if record.status != "finished" and known:
        axes.plot(*known[-1], marker="x", markersize=8, markeredgewidth=2, color=look["color"], linestyle="")


def _marker(num_epochs: int) -> str:
    return "o" if num_epochs == 1 else ""


def _fit_losses(axes: Axes, values: Sequence[float]) -> None:
    finite = np.array([value for value in values if math.isfinite(value) and value > 0])
    # One trial that goes astray must not press the others to the ground.
    if len(finite) and finite.max() > _RATIO_FOR_LOG * np.median(finite):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)


def _end(figure: Figure, axes: Axes, title: str, caption: str) -> None:
    """Add the title and the legend above the panels, and what is to be known below them."""
    handles, labels = axes.get_legend_handles_labels()
    num_columns = max(1, min(4, _LINE_CHARACTERS // max(map(len, labels), default=1)))
    num_rows = math.ceil(len(labels) / num_columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_INCHES * num_rows)
    legend = figure.legend(
        handles=handles, title=title, loc="outside upper left", ncols=num_columns, frameon=False, fontsize=8
    )
    legend.set_alignment("left")
    legend.get_title().set(fontsize="large", fontweight="bold")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color=QUIET_COLOR)
