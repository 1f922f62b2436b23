"""Folders of made images, and what the plugin for folders of images reads from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from benchbench_plugins.imagefolder import ImageFolder
from PIL import Image
from support.digests import decoded

from benchbench.errors import BenchError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from benchbench.worker.splits import TensorSplits

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def dataset(**params: Any) -> ImageFolder:
    return ImageFolder(**({"image_size": 8} | params))


def save(path: Path, color: tuple[int, ...] = RED, *, size: tuple[int, int] = (12, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def write(root: Path, numbers: dict[str, int], *, suffix: str = ".png") -> Path:
    """Write so many images into each of these folders, no two of one color."""
    for number_of_folder, (folder, number) in enumerate(numbers.items()):
        for row in range(number):
            save(root / folder / f"{row}{suffix}", (10 * row % 256, number_of_folder, 7))
    return root


def load(root: Path, **params: Any) -> TensorSplits:
    return decoded(dataset(**params), root)


def sizes(splits: TensorSplits) -> list[int]:
    return [len(split) for _, split in splits.items()]


def pixels_of(path: Path, **params: Any) -> torch.Tensor:
    """Return what one image file becomes: ``[3, 8, 8]``."""
    root = path.parent / "images"
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            target = root / part / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return load(root, **params).train.images[0]


def refusal(root: Path, **params: Any) -> BenchError:
    with pytest.raises(BenchError) as caught:
        load(root, **params)
    return caught.value
