"""The augmentations of a trial as one function of a batch, and the random numbers that they need."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
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
                augment = plugin.build(data)
            if not callable(augment):
                raise failure(plugin, f"build() must return a function, not {augment!r}", hint="")
            num_draws = num_draws_of(plugin)
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


def num_draws_of(plugin: Augmentation) -> int:
    """Return how many random numbers an image needs; raise :class:`PluginError` if the plugin gives no such number."""
    with failures_named(plugin, "in num_draws"):
        num_draws: object = plugin.num_draws
    if callable(num_draws):
        raise failure(plugin, "its num_draws is a method, not a property", hint="write @property above it")
    if not isinstance(num_draws, Integral) or num_draws < 0:
        problem = f"its num_draws must be a whole number, not {num_draws!r}"
        raise failure(plugin, problem, hint="it is how many random numbers an image needs, 0 or more")
    return int(num_draws)


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
