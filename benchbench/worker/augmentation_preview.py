"""Augments images for ``bench data show --augment``.

It is asked with the path of a folder, in which are ``request.json`` and ``images.npz``. The images that it leaves in
``augmented.npy`` are cut or padded to squares, as the network gets them. It answers with what went wrong, as JSON, or
with ``{}``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchbench.errors import BenchError
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.registry import Registry
from benchbench.processes import serve
from benchbench.protocol.preview_messages import AugmentRequest
from benchbench.records.json_adapter import json_adapter
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import crop, pad

if TYPE_CHECKING:
    from collections.abc import Callable


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


def respond(folder: bytes, send: Callable[[bytes], None]) -> None:
    """Augment the images in the folder, and send what went wrong, if anything did."""
    try:
        augment(Path(os.fsdecode(folder)))
    except BenchError as error:
        send(json.dumps(error.to_json()).encode())
    else:
        send(b"{}")


if __name__ == "__main__":
    serve(respond)
