"""The files of a small CIFAR-10, of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cifar_members(number: int = 40, num_classes: int = 10) -> dict[str, bytes]:
    """Return the files of a small CIFAR-10, five of them for training."""
    names = [f"data_batch_{batch}.bin" for batch in range(1, 6)] + ["test_batch.bin"]
    members = {"batches.meta.txt": "\n".join(f"class{label}" for label in range(num_classes)).encode() + b"\n\n"}
    for seed, name in enumerate(names):
        labels = np.arange(number, dtype=np.uint8)[:, None] % num_classes
        members[name] = np.hstack([labels, noise(number, 3072, seed=seed)]).tobytes()
    return members
