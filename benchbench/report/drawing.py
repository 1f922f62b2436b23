"""matplotlib in our style and without windows: PNG files for a run, SVG for a page."""

from __future__ import annotations

import html
import io
import os
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

# Jupyter and Colab set MPLBACKEND for every program that they start. matplotlib refuses to be imported if the variable
# names a backend that is not installed, so it is hidden meanwhile. No figure here needs a backend.
_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as mpl
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.artist import Artist
    from PIL.Image import Image

__all__ = [
    "Figure",
    "MaxNLocator",
    "PercentFormatter",
    "Rectangle",
    "mark",
    "save_png",
    "style_for_page",
    "styled",
    "to_rgba",
    "to_svg",
]

TEXT_COLOR, QUIET_COLOR, LINE_COLOR, PAGE_COLOR = "#1f2328", "#57606a", "#d0d7de", "#fffffe"
"""In a page these become the page's own colors, which depend on whether it is dark."""

STYLE: Any = {  # the type of its keys differs between versions of matplotlib
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET_COLOR,
    "axes.grid": True,
    "axes.labelcolor": TEXT_COLOR,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT_COLOR,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.color": LINE_COLOR,
    "grid.linewidth": 0.6,
    "savefig.dpi": 120,
    "text.color": TEXT_COLOR,
    # A class may have a dollar sign in its name.
    "text.parse_math": False,
    "xtick.color": TEXT_COLOR,
    "ytick.color": TEXT_COLOR,
}
_PAGE: Any = {
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # texts stay texts, in the page's font
}
_VARIABLES = {
    TEXT_COLOR: "var(--text)",
    QUIET_COLOR: "var(--quiet)",
    LINE_COLOR: "var(--line)",
    PAGE_COLOR: "var(--page)",
}
_MARK = "bench-mark:"
FEW_STEPS = 10
"""Paths with fewer are marks and ticks, which are small enough and need their precision."""


@contextmanager
def styled(**changes: Any) -> Iterator[None]:
    """Draw and save figures in our style."""
    with mpl.rc_context(STYLE | changes), warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes. The tables beside the figures show them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextmanager
def style_for_page() -> Iterator[None]:
    """Draw figures that become part of a page with :func:`to_svg`."""
    with styled(**_PAGE):
        yield


def save_png(figure: Figure | Image, path: Path) -> None:
    """Write a figure or an image as PNG; its folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(figure, Figure):
        FigureCanvasAgg(figure)
        figure.savefig(path, format="png")
    else:
        figure.save(path)


def mark(artist: Artist, tip: str = "", *, series: int | None = None) -> None:
    """Give part of a figure a text to show under the mouse, and the number by which the page can hide it."""
    artist.set_gid(f"{_MARK}{'' if series is None else series}:{tip}")


def to_svg(figure: Figure, name: str) -> str:
    """Return a figure as an ``<svg>`` element in the colors of the page; ``name`` keeps its ids apart from others'."""
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)  # would apply to the whole page
    # A name with a quotation mark is in single ones.
    text = re.sub(rf'<g id="{_MARK}(\d*):([^"]*)">', _marked, text)
    text = re.sub(rf"<g id='{_MARK}(\d*):([^']*)'>", _marked, text)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(r"font-family: [^;\"]*; ", "", text)  # the page sets its own
    text = re.sub(r'(?<= d=")[^"]*', lambda match: _shorter(match[0]), text)
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    return text


def _shorter(path: str) -> str:
    """Return the same path to a tenth of a point, less than a reader can see: lines are most of a report."""
    steps = re.findall(r"([ML]) (-?[\d.]+) (-?[\d.]+)", path)
    end = "z" if path.rstrip().endswith("z") else ""
    if len(steps) < FEW_STEPS or re.search(r"[^ML\d.\s-]", path.rstrip("z \n")):
        return path
    parts, before = [], (0, 0)
    for command, *ends in steps:
        x, y = (round(10 * float(end)) for end in ends)
        if command == "M":
            parts.append(f"M{x / 10:g} {y / 10:g}l")
        else:
            parts.append(f"{(x - before[0]) / 10:g} {(y - before[1]) / 10:g} ")
        before = x, y
    return "".join(parts).replace("lM", "M").replace(" -", "-").rstrip("l ") + end


def _marked(match: re.Match[str]) -> str:
    series, tip = match.groups()
    number = f' data-series="{series}"' if series else ""
    # Of an attribute's escapes, the quotes are the only ones that a text does not need.
    return f"<g{number}><title>{html.escape(html.unescape(tip), quote=False)}</title>" if tip else f"<g{number}>"
