"""Charts over epochs of many or long trials: what is drawn, and how much of a page it takes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.made_records import made, spec

from benchbench.compare import compare_records
from benchbench.report import curves
from benchbench.report.drawing import Figure, style_for_page, to_svg
from benchbench.report.subject import Subject
from benchbench.report.trial_files import TrialFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.records.record import Record


def test_a_long_line_keeps_its_course_in_few_characters() -> None:
    heights = [number % 7 for number in range(100)]
    with style_for_page():
        figure = Figure(figsize=(4, 3))
        figure.subplots().plot(heights)
        text = to_svg(figure, "line")
    path = max(re.findall(r' d="([^"]*)"', text), key=len)
    steps = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) ?(-?[\d.]+)", path)]
    course = list(accumulate(steps, lambda before, step: (before[0] + step[0], before[1] + step[1])))
    assert len(course) == 100
    left, right, bottom, top = course[0][0], course[-1][0], course[0][1], course[6][1]
    for number, (x, y) in enumerate(course):
        assert (x - left) / (right - left) == pytest.approx(number / 99, abs=1e-3)
        assert (y - bottom) / (top - bottom) == pytest.approx(heights[number] / 6, abs=1e-3)
    assert len(path) < 1_200


def subject(records: Sequence[Record], folder: Path) -> Subject:
    trials = tuple(TrialFiles(record, folder) for record in records)
    return Subject(experiment="bench", headline="", comparison=compare_records(records), trials=trials)


def test_of_very_long_trials_not_every_epoch_is_drawn_but_the_last_is(tmp_path: Path) -> None:
    epochs = tuple(
        replace(journals.epoch(1).epoch, epoch=number + 1, val_loss=2 - number / 15_000) for number in range(30_000)
    )
    record = replace(made(spec(0)), epochs=epochs)
    chart = curves.learning_curves(subject([record], tmp_path))
    assert len(chart.wide) < 400_000


def test_a_loss_that_diverged_does_not_flatten_the_others(tmp_path: Path) -> None:
    calm, wild = made(spec(0, lr=0.1)), made(spec(0, lr=1.0))
    wild = replace(wild, epochs=tuple(replace(epoch, val_loss=3e6) for epoch in wild.epochs[:1]))
    figure = Figure(figsize=(8, 6))
    axes = figure.subplots()
    curves._draw_panel(axes, subject([calm, wild], tmp_path), "val_loss")
    assert axes.get_yscale() == "log"
