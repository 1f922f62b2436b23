"""What a run's trained model said of each test image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Predictions:
    """The test images of a run by name, their classes, and what its model took them for, in the same order."""

    images: tuple[str, ...]
    classes: tuple[str, ...]
    predictions: tuple[str, ...]

    @property
    def is_correct(self) -> tuple[bool, ...]:
        """Return for each image whether the model is right."""
        return tuple(true == said for true, said in zip(self.classes, self.predictions, strict=True))
