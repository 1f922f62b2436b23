"""The base class of models, and the facts about the data that they receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchbench.plugin.base import Plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


@dataclass(frozen=True)
class DataSpec:
    """The data that a model is built for: batches are float32 ``[N, num_channels, image_size, image_size]``.

    ``mean`` and ``std`` are those with which images are normalized, one value per channel or one for all.
    """

    num_channels: int
    image_size: int
    num_classes: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def num_inputs(self) -> int:
        """Return how many numbers one image has: channels x height x width."""
        return self.num_channels * self.image_size**2


class Model(Plugin):
    """A network. It maps float32 ``[N, C, H, W]`` to logits ``[N, K]``, with K at least the number of classes."""

    kind: ClassVar[str] = "model"

    def build(self, data: DataSpec) -> nn.Module:
        """Return the network with fresh weights; torch is seeded just before the call."""
        raise NotImplementedError


def logits_problem(shape: Sequence[int], *, num_images: int, num_classes: int) -> str:
    """Return what is wrong with the shape of a model's output for a batch, or "" if it fits."""
    if len(shape) == 2 and shape[0] == num_images and shape[1] >= num_classes:  # noqa: PLR2004 - [N, K]
        return ""
    return (
        f"its output for {num_images} images of {num_classes} classes has the shape {list(shape)};"
        f" it must be [{num_images}, {num_classes}], or wider"
    )
