"""The words of verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.comparisons import values

from benchbench.compare.contrasts import contrast
from benchbench.compare.verdicts import Judge

CONTRAST = contrast(values([0.60, 0.63, 0.66]), values([0.50, 0.52, 0.57]), as_ratio=False, confidence=0.95)


def words(p_value: float, *, corrected: float | None = None, confidence: float = 0.95) -> str:
    """Return the verdict about two configurations, of which one is more accurate with this p value."""
    corrected = p_value if corrected is None else corrected
    judge = Judge(1 - confidence, num_comparisons=2, permutation_level=0.05)
    return judge.verdict(replace(CONTRAST, p_value=p_value), corrected, "higher", has_margin=False).words


@pytest.mark.parametrize(
    ("p_value", "confidence", "shown"),
    [
        (0.0342, 0.95, "p = 0.034"),
        (0.0496, 0.95, "p = 0.0496"),
        (0.04996, 0.95, "p = 0.04996"),
        (0.0249, 0.975, "p = 0.0249"),
        (0.00041, 0.9995, "p < 0.0005"),
        (0.00041, 0.95, "p < 0.001"),
    ],
)
def test_a_p_value_is_printed_on_the_side_of_the_level_on_which_it_is(
    p_value: float, confidence: float, shown: str
) -> None:
    assert words(p_value, confidence=confidence) == f"better ({shown})"


def test_what_only_a_correction_takes_back_has_p_values_on_both_sides_of_the_level() -> None:
    assert words(0.0496, corrected=0.0992).endswith("(p = 0.0496 alone, p = 0.099 as one of 2)")
    very_small = words(0.00041, corrected=0.00082, confidence=0.9995)
    assert very_small.endswith("(p < 0.0005 alone, p = 0.00082 as one of 2)")
