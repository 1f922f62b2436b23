"""The interval plot in text: what it shows, and that it fits."""

from __future__ import annotations

import pytest
from support.made_records import configuration, made, spec

from benchbench.compare import compare_records
from benchbench.compare.interval_plot import ASCII, IntervalPlot, interval_plot, plot_lines
from benchbench.config.compare_section import read_comparison

BASELINE = [0.50, 0.52, 0.51]


def plot_of(*others: list[float], metric: str = "test_accuracy", max_rows: int = 20) -> IntervalPlot:
    """Return the plot of configurations with other learning rates than the baseline's 0.1."""
    records = configuration(0.1, BASELINE)
    for number, accuracies in enumerate(others, start=2):
        records += configuration(number / 10, accuracies)
    comparison = compare_records(records, read_comparison({"compare": {"metrics": [metric]}})[0])
    plot = interval_plot(comparison, comparison.metrics[0], max_rows=max_rows)
    assert plot is not None
    return plot


def test_a_row_has_name_bar_and_numbers_with_a_zero_line_and_a_filled_point_for_a_difference() -> None:
    title, row, axis, legend = plot_lines(plot_of([0.60, 0.63, 0.61]), width=80)
    assert title == "test_accuracy, difference from optimizer.lr=0.1 in points, 95 % intervals"
    name, bar, *numbers = row.replace("│", "").split()
    assert (name, numbers) == ("optimizer.lr=0.2", ["+10.3", "[+8.9,", "+11.8]"])
    assert bar.startswith("├")
    assert bar.endswith("┤")
    assert bar.strip("├┤─") == "●"
    assert axis.split() == ["0", "+11.8"]
    # The zero line stands above the 0 of the axis.
    assert row.index("│") == axis.index("0")
    assert legend == "● different   ○ no difference shown"


def test_an_interval_that_contains_zero_crosses_its_line_with_a_hollow_point() -> None:
    _, row, *_ = plot_lines(plot_of([0.50, 0.51, 0.54]), width=80)
    assert "┼" in row
    assert "○" in row
    assert "●" not in row


@pytest.mark.parametrize("width", [40, 50, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_every_name_is_whole(width: int) -> None:
    lines = plot_lines(plot_of([0.60, 0.63, 0.61], [0.50, 0.51, 0.54], [0.3, 0.9, 0.6]), width=width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for lr in (0.2, 0.3, 0.4):
        assert f"optimizer.lr={lr}" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = plot_lines(plot_of([0.60, 0.63, 0.61], [0.50, 0.51, 0.54]), width=80, marks=ASCII)
    assert all(line.isascii() for line in lines)
    assert "[" in lines[1]
    assert lines[-1] == "* different   o no difference shown"


def test_ratios_have_their_line_at_one_and_as_much_room_for_half_as_for_twice() -> None:
    slow, fast = [8.1, 9.3, 7.6], [2.2, 2.3, 2.6]
    records = [made(spec(seed, lr=0.1), seconds=4.0 + seed / 10) for seed in range(3)]
    for lr, seconds in ((0.2, slow), (0.3, fast)):
        records += [made(spec(seed, lr=lr), seconds=of_one) for seed, of_one in enumerate(seconds)]
    comparison = compare_records(records, read_comparison({"compare": {"metrics": ["train_seconds"]}})[0])
    plot = interval_plot(comparison, comparison.metrics[0])
    assert plot is not None
    lines = plot_lines(plot, width=80)
    assert lines[0] == "train_seconds, ratio to optimizer.lr=0.1, 95 % intervals"
    assert " 1 " in lines[3]
    assert plot.position(2.0) == pytest.approx(-plot.position(0.5))


def test_an_interval_that_is_much_longer_than_the_others_ends_with_an_arrow() -> None:
    plot = plot_of([0.60, 0.63, 0.61], [0.61, 0.64, 0.62], [0.05, 0.95, 0.65])
    wide = next(line for line in plot_lines(plot, width=80) if "lr=0.4" in line)
    assert "◀" in wide
    assert "▶" in wide
    assert not {"◀", "▶"} & set("".join(line for line in plot_lines(plot, width=80) if "lr=0.4" not in line))


def test_of_many_configurations_the_best_by_validation_are_shown_and_the_others_counted() -> None:
    plot = plot_of([0.60, 0.63, 0.61], [0.40, 0.43, 0.41], [0.70, 0.73, 0.71], max_rows=2)
    assert [row.name for row in plot.rows] == ["optimizer.lr=0.2", "optimizer.lr=0.4"]
    assert plot_lines(plot, width=80)[-1] == "1 more in the table"


def test_without_an_interval_there_is_no_plot() -> None:
    comparison = compare_records(configuration(0.1, [0.5]) + configuration(0.2, [0.6]))
    assert interval_plot(comparison, comparison.metrics[0]) is None
