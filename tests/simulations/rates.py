"""Rates with their intervals, as text."""

from __future__ import annotations

from benchbench.compare.intervals import wilson


def rate(count: int, total: int) -> str:
    """Return ``4.9 % (4.0 .. 5.9)``: a rate with Wilson's interval of 95 %."""
    ends = wilson(count / total, total, confidence=0.95)
    return f"{count / total:.1%} ({100 * ends.low:.1f} .. {100 * ends.high:.1f})".replace("%", " %", 1)
