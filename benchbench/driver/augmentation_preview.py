"""Augments a few images in a separate process, since this one never imports torch."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from benchbench.errors import BenchError, DataError
from benchbench.processes import last_line, module_command
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.protocol.augmentation_preview import AugmentRequest


def augment(images: NDArray[np.uint8], labels: NDArray[np.int64], request: AugmentRequest) -> NDArray[np.uint8]:
    """Return images ``[N, C, H, W]`` as the network may see them in training: ``[N, C, image_size, image_size]``.

    Raises a :class:`~benchbench.errors.BenchError` for a wrong parameter, or if the augmentation fails.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_bytes(json_adapter(type(request)).dump_json(request))
        np.savez(folder / "images.npz", images=images, labels=labels)
        done = subprocess.run(  # noqa: S603 - our own module
            module_command("benchbench.worker.augmentation_preview", name),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if (folder / "error.json").exists():
            raise BenchError.from_json(json.loads((folder / "error.json").read_bytes()))
        if done.returncode:
            last = last_line(done.stderr)
            raise DataError(f"the process that augments images ended with exit code {done.returncode}: {last}")
        augmented: NDArray[np.uint8] = np.load(folder / "augmented.npy", allow_pickle=False)
    return augmented
