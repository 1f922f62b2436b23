"""Two trained models on the same test images: McNemar's exact test on which of them each gets right.

McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12, 1947; for classifiers Dietterich, "Approximate statistical tests for comparing supervised
classification learning algorithms", Neural Computation 10, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.compare import formatting
from benchbench.config.defaults import CONFIDENCE
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from benchbench.records.known_runs import Predictions


@dataclass(frozen=True)
class ModelComparison:
    """How many test images both models, only one of them, or neither classifies correctly, and the test's p value."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    confidence: float

    @property
    def num_images(self) -> int:
        """Return the number of test images."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def accuracies(self) -> tuple[float, float]:
        """Return the test accuracies of the two."""
        return (self.both + self.only_first) / self.num_images, (self.both + self.only_second) / self.num_images

    @property
    def is_different(self) -> bool:
        """Tell whether one of the two models is correct more often."""
        return self.p_value < 1 - self.confidence

    @property
    def verdict(self) -> str:
        """Return what the test says, and what it is about."""
        which = "first" if self.only_first > self.only_second else "second"
        answer = f"the {which} model is correct more often" if self.is_different else "the two are not distinguishable"
        p = formatting.p_value(self.p_value, 1 - self.confidence)
        return (
            f"{answer} on images like these ({p}); this is about these two trained models, not about their"
            " configurations, which need several seeds each"
        )


def compare_predictions(first: Predictions, second: Predictions, *, confidence: float = CONFIDENCE) -> ModelComparison:
    """Return the comparison of two models by their stored predictions.

    Raises :class:`SpecError` if they are not predictions of the same images.
    """
    if (first.images, first.classes) != (second.images, second.classes):
        raise SpecError("the two models were not tested on the same images", hint="choose two runs of the same dataset")
    from scipy.stats import binomtest

    pairs = list(zip(first.is_correct, second.is_correct, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    p_value = binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    return ModelComparison(
        both=pairs.count((True, True)),
        only_first=only_first,
        only_second=only_second,
        neither=pairs.count((False, False)),
        p_value=float(p_value),
        confidence=confidence,
    )
