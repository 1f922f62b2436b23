"""Augments images for ``bench data show --augment``.

Started as ``python -P -m benchbench.worker.augmentation_preview FOLDER``.
In the folder are ``request.json`` and ``images.npz``. The images that it leaves in ``augmented.npy`` are cut or padded
to squares, as the network gets them. What goes wrong is left in ``error.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from benchbench.errors import BenchError
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.registry import Registry
from benchbench.protocol.augmentation_preview import AugmentRequest
from benchbench.records.json_adapter import json_adapter
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import crop, pad


def augment(folder: Path) -> None:
    """Augment the images in the folder once."""
    request = json_adapter(AugmentRequest).validate_json((folder / "request.json").read_bytes())
    with np.load(folder / "images.npz", allow_pickle=False) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    images = crop(images, request.image_size)
    data = ImageSpec.of(images.shape[1:], mean=request.mean, num_classes=request.num_classes)
    registry = Registry.load(request.plugin_files)
    spec = registry.resolve_plugin("augmentation", request.augmentation)
    augmenter = Augmenter.of(registry.create_augmentations(spec), data)
    generator = torch.Generator().manual_seed(0)
    images, _ = augmenter(images, labels, augmenter.draw(len(images), generator))
    pixels = pad(images, request.image_size)
    if pixels.is_floating_point():
        pixels = pixels.round().clamp(0, 255)
    np.save(folder / "augmented.npy", pixels.to(torch.uint8).numpy(), allow_pickle=False)


def main() -> None:
    """Augment the images in the folder that the command line names."""
    folder = Path(sys.argv[1])
    try:
        augment(folder)
    except BenchError as error:
        (folder / "error.json").write_text(json.dumps(error.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
