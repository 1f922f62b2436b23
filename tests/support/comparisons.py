"""Questions to made records, and what is read from their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.config.compare_section import Question, read_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare import Cell, Comparison


LOW, HIGH = 0.001, 0.005


def question(**changes: Any) -> Question:
    return read_comparison({"compare": changes})[0]


def only_cell(comparison: Comparison, metric: str = "test_accuracy") -> Cell:
    """Return the cell of the one row that is not the baseline."""
    (row,) = (row for row in comparison.rows if not row.is_baseline)
    return row.cells[metric]


def values(numbers: Sequence[float], first: int = 0) -> dict[str, float]:
    return {str(place): float(number) for place, number in enumerate(numbers, start=first)}
