from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from benchbench_plugins.digits import Digits
from sklearn.datasets import load_digits
from support.digests import digest

from benchbench.data.split_checks import check_splits

if TYPE_CHECKING:
    from benchbench.plugin.dataset import Splits

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return Digits().load(NOWHERE)


def test_digits_are_1797_rgb_images_of_64x64(splits: Splits) -> None:
    check_splits("digits", splits)
    assert sum(len(split) for _, split in splits.items()) == 1797
    for split in (splits.train, splits.val, splits.test):
        assert split.images.shape[1:] == (3, 64, 64)
        red, green, blue = split.images.unbind(dim=1)
        assert torch.equal(red, green)
        assert torch.equal(green, blue)


def test_every_class_is_split_80_10_10(splits: Splits) -> None:
    counts = {part: split.labels.bincount(minlength=10) for part, split in splits.items()}
    totals = sum(counts.values())
    for part, share in (("train", 0.8), ("val", 0.1), ("test", 0.1)):
        assert (counts[part] / totals - share).abs().max() < 0.01


def test_no_image_is_in_two_splits(splits: Splits) -> None:
    names = [name for _, split in splits.items() for name in split.names]
    assert sorted(names) == [f"digit_{row:04}" for row in range(1797)]


def test_images_and_labels_are_those_of_scikit_learn_enlarged(splits: Splits) -> None:
    original = load_digits()
    for split in (splits.train, splits.val, splits.test):
        rows = [int(name.removeprefix("digit_")) for name in split.names]
        assert split.labels.tolist() == original.target[rows].tolist()
        images = split.images[:, 0].double()
        centres = (images[:, 3::8, 3::8] + images[:, 4::8, 4::8]) / 2
        wanted = torch.from_numpy(original.images[rows]) * 255 / 16
        # The pixels nearest to the middle of each 8x8 block are a sixteenth of the way to the next block's.
        assert (centres - wanted).abs().max() < 255 / 8
        assert (centres - wanted).abs().mean() < 6


def test_full_ink_is_white(splits: Splits) -> None:
    assert splits.train.images.amin() == 0
    assert splits.train.images.amax() == 255


def test_loading_twice_gives_the_same_digest(splits: Splits) -> None:
    assert digest(Digits().load(NOWHERE)) == digest(splits)


def test_default_mean_and_std_are_those_of_the_training_part(splits: Splits) -> None:
    pixels = splits.train.images / 255
    assert Digits().mean == pytest.approx((pixels.mean().item(),), abs=0.001)
    assert Digits().std == pytest.approx((pixels.std().item(),), abs=0.001)


def test_digits_are_never_flipped_by_default() -> None:
    assert Digits.augmentation == "none"
    assert Digits().image_size == 64


def test_digits_need_no_files() -> None:
    assert Digits().sources(NOWHERE) == ()
    assert Digits.download is None
