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
    names = names or list(map(str, range(len(labels))))
    is_taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        is_taken[rows[take([names[row] for row in rows.tolist()], round(len(rows) * fraction), seed=seed)]] = True
    return np.flatnonzero(~is_taken), np.flatnonzero(is_taken)


def take(names: Sequence[str], number: int, *, seed: int) -> list[int]:
    """Return which of the names are taken, as numbers in no order: so many, but at least one and never the last.

    A digest of each name decides, so that a name that is added later moves few others.
    """
    digests = [hashlib.sha256(f"{seed}:{name}".encode(errors="replace")).digest() for name in names]
    return sorted(range(len(names)), key=digests.__getitem__)[: min(max(1, number), len(names) - 1)]


def with_validation(
    images: NDArray[np.uint8], labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[Split, Split]:
    """Return the training and the validation split of a set that comes without the latter."""
    train, val = split_rows(labels, fraction, seed=seed)
    return Split(images[train], labels[train]), Split(images[val], labels[val])
