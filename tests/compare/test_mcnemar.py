"""Two trained models on the same test images."""

from __future__ import annotations

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from benchbench.compare import compare_predictions
from benchbench.errors import SpecError
from benchbench.records.known_runs import Predictions


def predictions(right: str) -> Predictions:
    """Return predictions of as many images as there are digits, right where one is 1."""
    images = tuple(f"test {number}" for number in range(len(right)))
    return Predictions(images, ("a",) * len(right), tuple("a" if digit == "1" else "b" for digit in right))


def test_mcnemar_is_what_a_hand_computes() -> None:
    # Alone right 9 times and 1 time: p = 2 (C(10,0) + C(10,1)) / 2^10 = 22 / 1024.
    found = compare_predictions(
        predictions("1" * 9 + "0" + "1" * 5 + "0" * 3), predictions("0" * 9 + "1" + "1" * 5 + "0" * 3)
    )
    assert (found.both, found.only_first, found.only_second, found.neither) == (5, 9, 1, 3)
    assert found.p_value == pytest.approx(22 / 1024)
    assert found.p_value == pytest.approx(mcnemar([[5, 9], [1, 3]], exact=True).pvalue)
    assert found.is_different
    assert found.verdict.startswith("the first model is correct more often")
    assert "not about their configurations" in found.verdict
    assert found.accuracies == (14 / 18, 6 / 18)


def test_two_models_that_are_right_on_the_same_images_are_not_distinguishable() -> None:
    found = compare_predictions(predictions("1100"), predictions("1100"))
    assert found.p_value == 1.0
    assert found.verdict.startswith("the two are not distinguishable")


def test_models_tested_on_other_images_are_refused() -> None:
    with pytest.raises(SpecError, match="not tested on the same images"):
        compare_predictions(predictions("110"), predictions("1100"))
