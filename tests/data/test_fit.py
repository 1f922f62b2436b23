"""How stored images become squares: padded, cropped or resized."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import benchbench as bb
from benchbench.data import cache as data_cache
from benchbench.data.fit import pad_or_crop, resize_images
from benchbench.data.split_checks import cut_problem
from benchbench.worker import batches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    rows = np.linspace(0, 255, height)[:, None] + np.linspace(0, 100, width)[None]
    return np.stack([np.clip(rows, 0, 255), np.clip(255 - rows, 0, 255), rows / 2]).astype(np.uint8)


class Kept(bb.Dataset, name="kept"):
    """Images of 12 x 8 pixels."""

    load_uses: ClassVar[frozenset[str]] = frozenset()

    def sources(self, root: Path) -> tuple[Path, ...]:
        return ()

    def load(self, root: Path) -> bb.Splits:
        part = bb.Split(noise(6, 3, 12, 8), np.arange(6) % 2)
        return bb.Splits(part, part, part, ("a", "b"))


def test_images_stay_as_stored_unless_they_are_to_be_resized(tmp_path: Path) -> None:
    pad = data_cache.load(Kept(image_size=16), tmp_path)
    assert np.array_equal(pad.splits["train"].images, noise(6, 3, 12, 8))
    assert data_cache.digest_of(Kept(image_size=4, fit="crop"), tmp_path) == pad.facts.digest
    assert data_cache.digest_of(Kept(image_size=16, fit="resize"), tmp_path) is None


@pytest.mark.parametrize("side", [4, 8, 24])
def test_a_dataset_whose_load_knows_no_sizes_is_resized_in_the_cache(tmp_path: Path, side: int) -> None:
    loaded = data_cache.load(Kept(image_size=side, fit="resize"), tmp_path)
    assert loaded.facts.image_shape == (3, side, side)
    assert len(loaded.mappings) == 3
    again = data_cache.load(Kept(image_size=side, fit="resize"), tmp_path)
    assert again.facts == loaded.facts == data_cache.decode(Kept(image_size=side, fit="resize"), tmp_path).facts


def test_only_padding_refuses_images_that_are_larger() -> None:
    assert "would cut the stored images of 12x8 pixels" in cut_problem(Kept(image_size=8), (3, 12, 8))
    for fit in ("crop", "resize"):
        assert not cut_problem(Kept(image_size=8, fit=fit), (3, 12, 8))


def test_the_shorter_side_is_scaled_and_the_centre_is_kept() -> None:
    image = gradient(96, 64)
    resized = torch.from_numpy(resize_images(image[None], (32, 32)).read(0).copy())
    transforms = v2.Compose(
        [
            v2.Resize(32, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(32),
        ]
    )
    expected = transforms(torch.from_numpy(image))
    assert resized.shape == (3, 32, 32)
    assert (resized.int() - expected.int()).abs().max() <= 1


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((1, 1, 64, 64), dtype=np.uint8)
    stripes[..., ::2] = 255
    resized = resize_images(stripes, (16, 16)).read(0)
    assert abs(int(resized.mean()) - 127) < 3
    assert resized[:, :, 2:-2].std() < 5


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_each_channel_is_resized_alike(channels: int) -> None:
    image = noise(channels, 20, 30)
    resized = resize_images(image[None], (10, 10)).read(0)
    for channel in range(channels):
        alone = resize_images(image[None, channel : channel + 1], (10, 10)).read(0)
        assert np.array_equal(resized[channel], alone[0])


@pytest.mark.parametrize("shape", [(12, 8), (8, 12), (7, 7), (3, 20), (9, 10), (10, 9), (20, 21)])
def test_pixels_without_torch_are_those_that_the_network_sees(shape: tuple[int, int]) -> None:
    images = noise(2, 3, *shape)
    expected = batches.pad_or_crop(torch.from_numpy(images), 9)
    assert np.array_equal(pad_or_crop(images, 9), expected.numpy())


def test_a_resized_photograph_is_that_of_pillow() -> None:
    image = gradient(40, 40)
    expected = Image.fromarray(image.transpose(1, 2, 0).copy()).resize((10, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(resize_images(image[None], (10, 10)).read(0), np.asarray(expected).transpose(2, 0, 1))


class Lazy(bb.Dataset, name="lazy"):
    """Images of 12 x 8 pixels that are decoded when they are read; the one before the last cannot be."""

    def sources(self, root: Path) -> tuple[Path, ...]:
        return ()

    def load(self, root: Path) -> bb.Splits:
        def read(row: int) -> NDArray[np.uint8]:
            return noise(6, 3, 12, 8)[row] if row != 4 else noise(3, 12, 9)

        images = bb.LazyImages(read, (6, 3, 12, 8), tuple("abcdef"), skip_damaged=True)
        part = bb.Split(images, np.arange(6) % 2)
        return bb.Splits(part, part, part, ("a", "b"))


def test_images_that_are_decoded_when_they_are_read_are_resized_too(tmp_path: Path) -> None:
    loaded = data_cache.load(Lazy(image_size=4, fit="resize"), tmp_path)
    expected = resize_images(noise(6, 3, 12, 8), (4, 4))
    rows = [0, 1, 2, 3, 5]
    assert np.array_equal(loaded.splits["val"].images, np.stack([expected.read(row) for row in rows]))
    assert loaded.splits["val"].labels.tolist() == [0, 1, 0, 1, 1]
    assert loaded.facts.skipped == ("e", "e", "e")
