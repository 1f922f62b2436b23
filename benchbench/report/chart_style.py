"""What all charts of a report share. Configurations differ in dashes and markers too, not by color alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from benchbench.report.drawing import Figure, MaxNLocator, PercentFormatter, style_for_page, to_svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes

# Okabe and Ito, "Color Universal Design", 2008, those that can be seen on white and on black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ((), (6, 3), (2, 2), (6, 2, 2, 2))
MARKERS = ("o", "s", "D", "^", "X", "P")
WIDE_INCHES, NARROW_INCHES, HALF_INCHES = 10.0, 4.4, 5.4


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend; pressing it hides what the chart marks with its number."""

    number: int
    name: str

    @property
    def color(self) -> str:
        """Return the color of the line."""
        return color(self.number)

    @property
    def dashes(self) -> str:
        """Return the dashes of the line, as SVG has them."""
        return " ".join(map(str, dashes(self.number)))


@dataclass(frozen=True)
class Chart:
    """A chart as SVG for wide windows and for narrow ones, with its legend."""

    wide: Markup
    narrow: Markup
    legend: tuple[LegendEntry, ...] = ()

    @staticmethod
    def of(
        name: str,
        draw: Callable[[float], Figure],
        names: Sequence[str] = (),
        *,
        widths: tuple[float, float] = (WIDE_INCHES, NARROW_INCHES),
    ) -> Chart:
        """Return the chart that ``draw`` makes for a width in inches; ``names`` are those of its legend."""
        with style_for_page():
            # matplotlib escapes every text of a figure.
            wide, narrow = (
                Markup(to_svg(draw(inches), f"{name}-{inches}"))  # noqa: S704 - as above
                for inches in widths
            )
        return Chart(wide, narrow, tuple(LegendEntry(number, text) for number, text in enumerate(names)))


def color(index: int) -> str:
    """Return the color of a configuration, by its index."""
    return COLORS[index % len(COLORS)]


def dashes(index: int) -> tuple[int, ...]:
    """Return the dashes of a configuration, by its index: the lengths of lines and gaps, or none."""
    # Pairs of color and dashes would repeat after twelve configurations; the shift then gives new pairs.
    return DASHES[(index + index // math.lcm(len(COLORS), len(DASHES))) % len(DASHES)]


def line(index: int, *, width: float = 1.5) -> dict[str, Any]:
    """Return how matplotlib draws the lines of a configuration, by its index."""
    style = (0, tuple(length / 1.5 for length in dashes(index))) if dashes(index) else "solid"
    return {"color": color(index), "linestyle": style, "linewidth": width}


def whole_epochs(axes: Axes) -> None:
    """Name the horizontal axis, with ticks on whole epochs."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def fractions(axis: Any) -> None:
    """Print the values of an axis as percentages."""
    axis.set_major_formatter(PercentFormatter(1, decimals=None))


def mean(values: Iterable[float]) -> float:
    """Return the mean of values, or NaN, which is not drawn, if there are none or it is not finite."""
    numbers = list(values)
    return finite(math.fsum(numbers) / len(numbers)) if numbers else math.nan


def finite(value: float) -> float:
    """Return a value, or NaN for what cannot be drawn."""
    return value if math.isfinite(value) else math.nan
