"""Takes a part of each class, the same one each time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from benchbench.plugin.dataset import Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def split_rows(
    labels: NDArray[np.int64], fraction: float, *, seed: int = 0, names: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that stay and those that are taken, both in order.

    Of each class the fraction is taken: at least one row, but never the last.
    A digest of an image's name, or of its row, decides whether it is taken. So an image that is added moves few others,
    and no version of a random generator matters.
    """
    keys = [_digest(f"{seed}:{names[row] if names else row}") for row in range(len(labels))]
    is_taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=keys.__getitem__)
        is_taken[rows[: min(max(1, round(len(rows) * fraction)), len(rows) - 1)]] = True
    return np.flatnonzero(~is_taken), np.flatnonzero(is_taken)


def with_validation(
    images: NDArray[np.uint8], labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[Split, Split]:
    """Return the training and the validation split of a set that comes without the latter."""
    train, val = split_rows(labels, fraction, seed=seed)
    return Split(images[train], labels[train]), Split(images[val], labels[val])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
