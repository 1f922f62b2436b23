"""What saved models need besides their networks."""

from __future__ import annotations

from benchbench.data.preparation import Classifier, Preparation


def classifier(class_names: tuple[str, ...], *, side: int = 8, num_channels: int = 3) -> Classifier:
    """Return a classifier of images that are stored as the network takes them."""
    preparation = Preparation(side, "pad", (0.4,), (0.2,), (num_channels, side, side))
    return Classifier(preparation, class_names, num_threads=1)
