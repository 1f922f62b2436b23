"""Networks that every lever does something for, their proofs, and levers that are wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchbench.worker.accelerate import Case, Proof
from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.constant_border import ConstantBorder
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.accelerate.winograd import Winograd
from benchbench.worker.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.worker.accelerate.lever import Layers

CPU = torch.device("cpu")
MIDDLE = Window(Span(10, 22), Span(10, 22))


def convolutional() -> nn.Module:
    """Return a network for which every lever does something."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 192, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(192, 192, 3, padding=1), nn.BatchNorm2d(192), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout2d(0.2)),
        *(nn.Flatten(), nn.Linear(192 * 16, 1408), nn.Dropout(0.5), nn.Linear(1408, 10)),
    )


def sgd(weights: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.01)


def proof(model: nn.Module, make: Callable[..., torch.optim.Optimizer] = sgd, *, batch_size: int = 8) -> Proof:
    images = torch.full((batch_size, 3, 32, 32), -2.0)
    generator = torch.Generator().manual_seed(0)
    inside = images[:, :, 10:22, 10:22]
    inside.copy_(torch.randn(inside.shape, generator=generator))
    case = Case(model, make(model.parameters()), batch_size, MIDDLE)
    return Proof(case, images, torch.arange(batch_size) % 10, 0)


EVERYTHING = (
    LinearProducts("blocks"),
    ConstantBorder(),
    Winograd(),
    FusedSteps(),
    StepsInPlace("blocks"),
)


@dataclass(frozen=True)
class BrokenFusion(FusedSteps):
    """Has another value of an option of the optimizer."""

    option: str = "weight_decay"

    def apply(self, case: Case, layers: Layers) -> Layers:
        for group in case.optimizer.param_groups:
            group[self.option] *= 1.01
        return super().apply(case, layers)


@dataclass(frozen=True)
class BrokenOrder(ChannelsLast):
    """Swaps rows and columns of kernels."""

    def apply(self, case: Case, layers: Layers) -> Layers:
        case.model[0].weight.data = case.model[0].weight.data.transpose(2, 3)  # type: ignore[index]
        return layers


@dataclass(frozen=True)
class BrokenBorder(ConstantBorder):
    """Takes too small a window for that of the images."""

    def apply(self, case: Case, layers: Layers) -> Layers:
        return replace(layers, window=Window(Span(13, 22), Span(10, 22)))
