"""What the charts of a report have in common: told apart without colour as well, and by the same looks in each.

Colours of text, grid and background are the page's, which knows whether it is dark.
"""

from __future__ import annotations

import html
import json
import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import plotly.graph_objects as go

# Okabe and Ito, "Color Universal Design", 2008, those that can be seen on white and on black.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
_NAME_CHARACTERS = 38


@dataclass(frozen=True)
class Chart:
    """A chart: its name in the page, plotly's traces, and its layouts for a wide and a narrow page."""

    name: str
    data: list[dict[str, Any]]
    wide: dict[str, Any]
    narrow: dict[str, Any]

    @staticmethod
    def of(name: str, figure: go.Figure, narrow: go.Figure | None = None) -> Chart:
        """Return the chart of a figure, whose layout is another one where the page is narrow."""
        # Through plotly's own JSON, which has no NaN.
        wide, small = (json.loads(made.to_json()) for made in (figure, narrow or figure))
        return Chart(name, wide["data"], wide["layout"], small["layout"])


def lay_out(figure: go.Figure, *, height: int) -> None:
    """Give a figure its height and what all have in common; axes make room for their names."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 28, "b": 12},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0.01, "x": 0},
        hoverlabel={"namelength": -1},
        dragmode="zoom",
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)


def share() -> dict[str, Any]:
    """Return an axis from 0 to 100 %."""
    return {"tickformat": ".0%", "range": [0, 1.02]}


def color(number: int) -> str:
    """Return the colour of a configuration, by its number."""
    return COLORS[number % len(COLORS)]


def line(number: int, *, width: float = 2.0) -> dict[str, Any]:
    """Return the look of the lines of a configuration, by its number."""
    return {"color": color(number), "dash": DASHES[number % len(DASHES)], "width": width}


def faint(number: int) -> str:
    """Return its colour for a band."""
    red, green, blue = bytes.fromhex(color(number)[1:])
    return f"rgba({red},{green},{blue},0.16)"


def name(words: str) -> str:
    """Return the name of a configuration for a legend, in lines that fit a narrow page."""
    return "<br>".join(text(line) for line in textwrap.wrap(words, _NAME_CHARACTERS))


def text(words: str) -> str:
    """Return a text that plotly shows as it is: it takes some of HTML's tags."""
    return html.escape(words, quote=False)


def mean(values: Iterable[float]) -> float | None:
    """Return the mean of values, None where there are none or it is not finite."""
    found = list(values)
    return finite(math.fsum(found) / len(found)) if found else None


def finite(value: float) -> float | None:
    """Return a value, or None for what cannot be drawn."""
    return value if math.isfinite(value) else None
