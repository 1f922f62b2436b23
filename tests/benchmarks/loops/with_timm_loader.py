"""The loop that people write by hand, with the data loader of timm: batches collated and normalised as uint8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from plain import run
from timm.data import create_loader
from timm.data.transforms import ToNumpy
from torchvision import transforms
from torchvision.datasets import ImageFolder
from work import MEAN, STD, Work, read_work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plain import Batch


def make_loader(work: Work, split: str, *, is_training: bool) -> Iterable[Batch]:
    """Return timm's loader over images that are padded and flipped as everywhere else, and not resized."""
    dataset = ImageFolder(work.folder / split)
    loader: Iterable[Batch] = create_loader(
        dataset,
        input_size=(3, work.image_size, work.image_size),
        batch_size=work.batch_size,
        is_training=is_training,
        mean=MEAN,
        std=STD,
        num_workers=0,
        persistent_workers=False,
        pin_memory=False,
        device=torch.device("cpu"),
    )
    flips = [transforms.RandomHorizontalFlip()] if is_training else []
    dataset.transform = transforms.Compose([transforms.CenterCrop(work.image_size), *flips, ToNumpy()])
    return loader


if __name__ == "__main__":
    asked = read_work()
    torch.manual_seed(0)
    run(asked, make_loader(asked, "train", is_training=True), make_loader(asked, "val", is_training=False))
