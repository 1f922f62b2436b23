"""What mixes images with others of their batch: mixup and CutMix."""

from __future__ import annotations

import functools

import torch
from benchbench_plugins.image_operations import per_image
from torch import Tensor
from torch.nn import functional

import benchbench as bb

NUM_QUANTILES = 4096


class Mixup(bb.Augmentation, name="mixup"):
    """Mixes each image, and its label, with the next one of its batch.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018. Each image has a fraction of its own.
    """

    alpha: float = bb.param(0.2, "the fraction of an image is from the beta distribution (alpha, alpha)", gt=0, le=100)
    p: float = bb.param(1.0, "probability that an image is mixed", ge=0, le=1)

    @property
    def num_draws(self) -> int:
        """Return 2: for the choice of images and for the fraction."""
        return 2

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images are float32 after it, and labels fractions of classes."""
        quantiles_on = functools.cache(beta_quantiles(self.alpha).to)

        def mix(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            fractions = interpolated(quantiles_on(draws.device), draws[:, 1]).where(draws[:, 0] < self.p, 1.0)
            weights = per_image(fractions)
            mixed = weights * images + (1 - weights) * following(images)
            return mixed, mixed_labels(labels, fractions, num_classes=data.num_classes)

        return mix


class CutMix(bb.Augmentation, name="cutmix"):
    """Puts a box of the next image of the batch into each image, and mixes their labels by area.

    S. Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.
    """

    alpha: float = bb.param(1.0, "the area of the box is from the beta distribution (alpha, alpha)", gt=0, le=100)
    p: float = bb.param(1.0, "probability that an image gets a box", ge=0, le=1)

    @property
    def num_draws(self) -> int:
        """Return 4: for the choice of images, the area, and the middle of the box."""
        return 4

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        """Return the function; images keep their type, and labels are fractions of classes after it."""
        quantiles_on = functools.cache(beta_quantiles(self.alpha).to)
        height, width = data.height, data.width

        def cut(images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
            side = (1 - interpolated(quantiles_on(draws.device), draws[:, 1])).sqrt()
            side = side.where(draws[:, 0] < self.p, 0.0)
            in_box = within(draws[:, 2], side, height)[:, :, None] & within(draws[:, 3], side, width)[:, None, :]
            fractions = 1 - in_box.float().mean(dim=(1, 2))
            cut_out = torch.where(in_box[:, None], following(images), images)
            return cut_out, mixed_labels(labels, fractions, num_classes=data.num_classes)

        return cut


def following(batch: Tensor) -> Tensor:
    """Return for each of a batch the next one, and for the last one the first. Their order is random anyway."""
    return batch.roll(-1, dims=0)


def mixed_labels(labels: Tensor, fractions: Tensor, *, num_classes: int) -> Tensor:
    """Return float32 ``[N, num_classes]``: the fraction of each class, the rest being that of the next image."""
    classes = functional.one_hot(labels, num_classes).float() if labels.ndim == 1 else labels
    return fractions[:, None] * classes + (1 - fractions)[:, None] * following(classes)


def within(draws: Tensor, side: Tensor, size: int) -> Tensor:
    """Return bool ``[N, size]``: what lies in a span about a random middle, ``side`` of ``size`` long or cut off."""
    middle, half = (draws * size).floor(), (side * size).floor() / 2
    start, stop = (middle - half).floor(), (middle + half).floor()
    numbers = torch.arange(size, device=draws.device)
    return (numbers >= start[:, None]) & (numbers < stop[:, None])


def beta_quantiles(alpha: float) -> Tensor:
    """Return evenly spaced quantiles of the beta distribution (alpha, alpha)."""
    import numpy as np
    from scipy.special import betaincinv

    quantiles = betaincinv(alpha, alpha, np.linspace(0, 1, NUM_QUANTILES + 1))
    return torch.from_numpy(quantiles.astype(np.float32))


def interpolated(quantiles: Tensor, draws: Tensor) -> Tensor:
    """Return numbers of the distribution for random numbers of 0..1."""
    positions = draws * NUM_QUANTILES
    low = positions.long()
    return torch.lerp(quantiles[low], quantiles[low + 1], positions - low)


@bb.hookimpl
def benchbench_augmentations() -> list[type[bb.Augmentation]]:
    """Offer mixup and CutMix."""
    return [Mixup, CutMix]
