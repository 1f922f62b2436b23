"""Images on their way to a trained network: the same pixels as in training, whatever they come in."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from benchbench_plugins.imagefolder import ImageFolder
from benchbench_plugins.tinyimage10 import TinyImage10
from PIL import EpsImagePlugin, Image

from benchbench.data.fit import pad_or_crop
from benchbench.data.image_decoding import decode
from benchbench.data.preparation import Classifier, Preparation, as_images, read_files
from benchbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def an_image(
    height: int, width: int, *, num_channels: int = 3, seed: int = 0
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return random pixels ``[C, H, W]``."""
    return np.random.default_rng(seed).integers(0, 256, (num_channels, height, width), dtype=np.uint8)


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """Return pixels ``[C, H, W]`` as a file."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(file := io.BytesIO(), "png")
    return file.getvalue()


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_a_file_is_decoded_as_a_folder_of_images_decodes_it(tmp_path: Path, fit: str) -> None:
    for number, (name, height, width) in enumerate((n, h, w) for n in "ab" for h in (9, 20, 31) for w in (16, 25)):
        path = tmp_path / name / f"{height}x{width}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(an_image(height, width, seed=number)))
    dataset = ImageFolder(image_size=16, fit=fit)
    preparation = Preparation.of(dataset, (3, 16, 16))
    splits = dataset.load(tmp_path)
    for split in (splits.train, splits.val, splits.test):
        for row, name in enumerate(split.names):
            content = (tmp_path / name).read_bytes()
            np.testing.assert_array_equal(preparation.file(content), split.images.read(row))
            with Image.open(tmp_path / name) as image:
                pixels = np.asarray(image).transpose(2, 0, 1)
            np.testing.assert_array_equal(preparation.array(pixels[None])[0], preparation.file(content))


@pytest.mark.parametrize(("fit", "side"), [("pad", 15), ("crop", 5), ("crop", 6), ("resize", 8)])
def test_an_image_of_the_datasets_size_is_padded_or_cropped_as_in_training(fit: str, side: int) -> None:
    pixels = an_image(8, 8)
    preparation = Preparation.of(TinyImage10(image_size=side, fit=fit), (3, 8, 8))
    np.testing.assert_array_equal(preparation.file(png(pixels)), pad_or_crop(pixels[None], side)[0])


def test_an_image_of_another_size_first_gets_that_of_the_datasets() -> None:
    preparation = Preparation.of(TinyImage10(image_size=12), (3, 8, 8))
    pixels = np.full((3, 40, 60), 200, dtype=np.uint8)
    prepared = preparation.file(png(pixels))
    assert prepared.shape == (3, 12, 12)
    assert (prepared[:, 2:10, 2:10] == 200).all()
    assert prepared.sum() == 3 * 64 * 200


def test_grey_images_keep_their_shades_and_colors_become_shades() -> None:
    preparation = Preparation(8, "pad", (0.5,), (0.5,), (1, 8, 8))
    pixels = an_image(8, 8, num_channels=1)
    np.testing.assert_array_equal(preparation.file(png(pixels)), pixels)
    assert preparation.file(png(an_image(8, 8))).shape == (1, 8, 8)


def test_images_of_other_channels_come_as_arrays_alone() -> None:
    preparation = Preparation(8, "pad", (0.5,), (0.5,), (5, 8, 8))
    with pytest.raises(DataError, match="takes images of 5 channels"):
        read_files(preparation, [("a.png", png(an_image(8, 8)))])
    assert preparation.array(np.zeros((2, 5, 8, 8), dtype=np.uint8)).shape == (2, 5, 8, 8)


def test_arrays_are_taken_as_people_have_them() -> None:
    batch = np.stack([an_image(5, 6), an_image(5, 6, seed=1)])
    for given in (
        batch,
        batch.transpose(0, 2, 3, 1),
        batch.astype(np.int64),
        batch.astype(np.float32),
        torch.tensor(batch),
    ):
        np.testing.assert_array_equal(as_images(given, 3), batch)
    for one in (batch[0], batch[0].transpose(1, 2, 0), batch[0].tolist()):
        np.testing.assert_array_equal(as_images(one, 3), batch[:1])
    grey = an_image(5, 6, num_channels=1)
    for shades in (grey, grey[0], grey[None], grey.transpose(1, 2, 0)):
        np.testing.assert_array_equal(as_images(shades, 1), grey[None])
    assert as_images(np.zeros((4, 5, 6)), 1).shape == (4, 1, 5, 6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((2, 4, 5, 6)), "an array of 2 x 4 x 5 x 6 is neither an image of 3 channels"),
        (np.zeros((5, 6)), "an array of 5 x 6 is neither an image"),
        (np.full((3, 5, 6), 0.5), "no raw pixels"),
        (np.full((3, 5, 6), 256), "no raw pixels"),
        (np.eye(6).reshape(1, 6, 6).repeat(3, axis=0), "no raw pixels"),
        (np.full((3, 5, 6), np.nan), "no raw pixels"),
    ],
)
def test_what_is_no_raw_image_is_refused(given: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_images(given, 3)


def test_a_classifier_is_kept_whole(tmp_path: Path) -> None:
    preparation = Preparation.of(ImageFolder(background=(1, 2, 3)), (3, 128, 128))
    classifier = Classifier(preparation, ("a\u2028b", "\U0001f600"), 3)
    classifier.write(tmp_path / "classifier.json")
    assert Classifier.read(tmp_path / "classifier.json") == classifier


def test_postscript_is_no_image_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    Image.new("RGB", (8, 8)).save(file := io.BytesIO(), "eps")
    with pytest.raises(DataError, match="EPS is not an image format"):
        decode(file.getvalue(), side=8, fit="pad", background=(0, 0, 0))
    with pytest.raises(DataError, match="EPS is not an image format"):
        Preparation(8, "pad", (0.5,) * 3, (0.5,) * 3, (3, 8, 8)).file(file.getvalue())
