"""Convolutions with channels last in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import nn

from benchbench.worker.accelerate.lever import Lever, alone_in_memory, plain_weights

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.worker.accelerate.lever import Case, ComputeTarget, Layers


OPTIMIZERS = ("torch.optim.", "timm.optim.")
"""Others may view a gradient as a matrix, which torch refuses if its channels are last."""


@dataclass(frozen=True)
class ChannelsLast(Lever):
    """Images and weights of convolutions with channels last in memory, as oneDNN and cuDNN compute bf16 faster."""

    fact = "memory_format"
    plain = "contiguous"
    name = "channels_last"
    memory_format = torch.channels_last

    @classmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """For bf16 and tf32 on CUDA, whose tensor cores want it, and for bf16 on AVX-512 without AMX.

        Sums in another order cost batch normalization up to two digits, which matters in fp32 alone.
        """
        if target.device_type == "cpu":
            return cls() if target.precision == "bf16" and target.instructions == "AVX512" else None
        return cls() if target.device_type == "cuda" and target.precision != "fp32" else None

    def fits(self, case: Case) -> bool:
        """Tell whether a model has convolutions, and an optimizer that takes gradients in any order in memory."""
        return type(case.optimizer).__module__.startswith(OPTIMIZERS) and bool(_convolution_weights(case.model))

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Reorder the weights of convolutions; the parameters stay the same objects."""
        for weight in _convolution_weights(case.model):
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return layers


def _convolution_weights(model: nn.Module) -> list[Tensor]:
    """Return the weights that can be moved: what shares memory with one, such as a flat buffer, would keep the old."""
    weights = plain_weights(model, (nn.Conv2d, nn.ConvTranspose2d))
    return alone_in_memory(weights, (*model.parameters(), *model.buffers()))
