"""Augments a few images in a separate process, since this one never imports torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchbench.errors import BenchError, DataError
from benchbench.processes import ask
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.protocol.preview_messages import AugmentRequest


def augment(images: NDArray[np.uint8], labels: NDArray[np.int64], request: AugmentRequest) -> NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` as the network may see them in training: ``[N, C, image_size, image_size]``.

    Raises a :class:`~benchbench.errors.BenchError` for a wrong parameter, or if the augmentation fails.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_bytes(json_adapter(type(request)).dump_json(request))
        np.savez(folder / "images.npz", images=images, labels=labels)
        done = ask("benchbench.worker.augmentation_preview", os.fsencode(name))
        if not done.answers:
            raise DataError(f"the process that augments images {done.death}")
        if error := json.loads(done.answers[0]):
            raise BenchError.from_json(error)
        augmented: NDArray[np.uint8] = np.load(folder / "augmented.npy", allow_pickle=False)
    return augmented
