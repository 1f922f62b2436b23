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
class TensorSplit:
    """One split of a dataset. images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: N image names, or none."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TensorSplits:
    """The three splits of a dataset and the names of its classes, in the order of their labels."""

    train: TensorSplit
    val: TensorSplit
    test: TensorSplit
    class_names: tuple[str, ...]

    @staticmethod
    def of(loaded: LoadedDataset) -> TensorSplits:
        """Return the splits of a dataset as tensors that share their memory with the arrays."""
        splits = {
            split_name: TensorSplit(_tensor(arrays.images), _tensor(arrays.labels), arrays.names)
            for split_name, arrays in loaded.splits.items()
        }
        return TensorSplits(class_names=loaded.facts.class_names, **splits)

    def items(self) -> tuple[tuple[str, TensorSplit], ...]:
        """Return ``(name, split)`` for train, val and test."""
        return (("train", self.train), ("val", self.val), ("test", self.test))


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor. Nothing here writes to one, so torch's warning about it does not apply."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
