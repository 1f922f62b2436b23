"""Steps on vectors, computed with and without acceleration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from benchbench.worker.accelerate import Acceleration, Case
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.steps_in_place import StepsInPlace

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.config.defaults import Precision

CPU = torch.device("cpu")
WIDTH = 64


def wide(num_inputs: int = WIDTH) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(num_inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10))


def trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    acceleration: Acceleration,
    *,
    steps: int = 4,
    batch_size: int = 12,
    late: Callable[[torch.optim.Optimizer], None] = lambda _: None,
) -> Acceleration:
    """Take some steps of so many vectors each, and return how they were computed.

    ``late`` is what somebody does to the optimizer after that was decided.
    """
    case = Case(model, optimizer, batch_size)
    fitted = acceleration.fitted(case).applied(case)
    late(optimizer)
    chance = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(batch_size, WIDTH, generator=chance)
        optimizer.zero_grad()
        with fitted.context(x):
            loss = F.cross_entropy(model(x), torch.arange(batch_size) % 10)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return fitted


def in_place(products: str = "blocks", *, precision: Precision = "fp32") -> Acceleration:
    """Return everything that accelerates linear layers, by these products."""
    return Acceleration(CPU, precision, levers=(LinearProducts(products), FusedSteps(), StepsInPlace(products)))


IN_PLACE = in_place()


def with_a_hook(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Clip gradients before each step, as the author of an optimizer plugin may."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(weights, 0.01)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def trained_on_images(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    acceleration: Acceleration,
    *,
    steps: int = 4,
    size: tuple[int, ...] = (3, 16, 16),
) -> Acceleration:
    """Take some steps on batches of eight images, and return how they were computed."""
    case = Case(model, optimizer, 8)
    fitted = acceleration.fitted(case).applied(case)
    chance = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(8, *size, generator=chance).contiguous(memory_format=fitted.memory_format)
        optimizer.zero_grad()
        with fitted.context(images):
            loss = F.cross_entropy(model(images), torch.arange(8))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return fitted
