"""The augmentations of a trial as one function of a batch, and the random numbers that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchbench.errors import ModelError
from benchbench.plugin.augmentation import batch_problem
from benchbench.plugin.failures import failure, failures_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Generator, Tensor

    from benchbench.plugin.augmentation import Augment, Augmentation, ImageSpec

Draws = tuple["Tensor", ...]
"""For each augmentation, its random numbers: float32 ``[N, num_draws]``."""


@dataclass(frozen=True)
class Augmenter:
    """Augmentations one after the other, each with how many random numbers an image needs."""

    parts: tuple[tuple[int, Augment], ...] = ()

    @staticmethod
    def of(plugins: Iterable[Augmentation], data: ImageSpec) -> Augmenter:
        """Build the augmentations and try each on two images; errors name the plugin's file and line."""
        parts = []
        for plugin in plugins:
            with failures_named(plugin, method="build"):
                augment, num_draws = plugin.build(data), plugin.num_draws
            if not callable(augment):
                raise failure(plugin, f"build() must return a function, not {augment!r}", hint="")
            _try(plugin, augment, num_draws, data)
            parts.append((num_draws, augment))
        return Augmenter(tuple(parts))

    def draw(self, num_images: int, generator: Generator) -> Draws:
        """Draw the random numbers of so many images, on the CPU."""
        return tuple(torch.rand(num_images, num_draws, generator=generator) for num_draws, _ in self.parts)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the batch and its labels, changed by one augmentation after the other."""
        shape = images.shape
        for (_, augment), numbers in zip(self.parts, draws, strict=True):
            images, labels = augment(images, labels, numbers)
        if images.shape != shape:  # from which follows where images have a border
            raise ModelError(
                f"an augmentation made {list(images.shape)} of images of {list(shape)}", hint="it must keep their shape"
            )
        return images, labels


def _try(plugin: Augmentation, augment: Augment, num_draws: int, data: ImageSpec) -> None:
    images = torch.zeros(2, data.num_channels, data.height, data.width, dtype=torch.uint8)
    labels = torch.zeros(2, dtype=torch.int64)
    draws = torch.rand(2, num_draws, generator=torch.Generator().manual_seed(0))
    with failures_named(plugin, "on two images"):
        returned: object = augment(images, labels, draws)
    match returned:
        case (torch.Tensor() as changed, torch.Tensor() as targets):
            problem = batch_problem(changed, targets, data, num_images=2)
        case _:
            problem = "it must return images and labels, two tensors"
    if problem:
        raise failure(plugin, problem, hint="")
