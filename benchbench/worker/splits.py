"""A dataset as tensors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.data.cache import LoadedDataset


@dataclass(frozen=True)
class Split:
    """One part of a dataset. images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: N image names, or none."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset and the names of its classes, in the order of their labels."""

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]

    @staticmethod
    def of(loaded: LoadedDataset) -> Splits:
        """Return the splits of a dataset as tensors that share their memory with the arrays."""
        parts = {
            part: Split(_tensor(arrays.images), _tensor(arrays.labels), arrays.names)
            for part, arrays in loaded.splits.items()
        }
        return Splits(class_names=loaded.facts.class_names, **parts)

    def items(self) -> tuple[tuple[str, Split], ...]:
        """Return ``(name, split)`` for train, val and test."""
        return (("train", self.train), ("val", self.val), ("test", self.test))


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor. Nothing here writes to one, so torch's warning about it does not apply."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
