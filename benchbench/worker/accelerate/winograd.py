"""Convolutions of 3x3 and 5x5 with fewer multiplications."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from torch import nn

from benchbench.worker.accelerate import winograd_3x3, winograd_5x5
from benchbench.worker.accelerate.lever import Lever, plain_weights

if TYPE_CHECKING:
    from benchbench.worker.accelerate.lever import Case, Layers, Target


@dataclass(frozen=True)
class Winograd(Lever):
    """Convolutions of many channels with fewer multiplications, for processors that multiply slowly."""

    fact = "convolutions"
    name = "winograd"

    @classmethod
    def for_target(cls, target: Target) -> Self | None:
        """In fp32 on AVX2, unless the model is compiled."""
        is_slow = target.device_type == "cpu" and target.instructions == "AVX2" and target.precision == "fp32"
        return cls() if is_slow and not target.is_compiled else None

    def fits(self, case: Case) -> bool:
        """Tell whether a layer is wide enough."""
        return any(map(_is_wide, case.model.modules()))

    def apply(self, case: Case, layers: Layers) -> Layers:  # noqa: ARG002
        """Compute wide convolutions so."""
        return replace(layers, with_winograd=True)


def _is_wide(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.dilation != (1, 1):
        return False
    shape = {"stride": layer.stride, "padding": layer.padding}
    weights = plain_weights(layer, (nn.Conv2d,))
    return any(winograd_3x3.has_shape(weight, **shape) or winograd_5x5.has_shape(weight, **shape) for weight in weights)
