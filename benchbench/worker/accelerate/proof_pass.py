"""Runs a training step up to its gradients, and compares two such steps.

To save memory, gradients are dropped as soon as they are noted, and of large tensors every 17th number is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch

from benchbench.worker.accelerate.proof_steps import ProofError, norm, some_rows
from benchbench.worker.accelerate.tolerances import BOUNDS, FEW, MAX_OWN_ERRORS, NOISE, OWN_ERRORS, ROUGHLY, ZERO
from benchbench.worker.batches import EVAL_BATCH_SIZE
from benchbench.worker.seeds import seed_everything

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from benchbench.worker.accelerate.acceleration import Acceleration
    from benchbench.worker.accelerate.lazy_gradient import Factors

MAX_NUMBERS = 2**20
"""Of a tensor that is compared whole."""

SAMPLED = 17
"""The stride at which numbers of a larger tensor are compared; prime, so that it matches no pattern in a layer."""

GRADIENT, BUFFER = "gradient of ", "buffer "


@dataclass
class Pass:
    """Loss, gradients, buffers and logits by name, and of each gradient some rows."""

    values: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor | Factors] = field(default_factory=dict)

    def take(self, name: str, weight: Tensor) -> None:
        """Note the gradient of a weight, and drop it."""
        gradient = weight.grad
        if gradient is None:
            return
        sampled = _sampled(gradient)
        # Backward passes within backward passes (reentrant checkpoints) bring it in parts.
        self.values[GRADIENT + name] = self.values.get(GRADIENT + name, 0) + sampled
        self.gradients[name] = some_rows(gradient)
        weight.grad = None

    @cached_property
    def noise(self) -> dict[str, float]:
        """What a gradient or a buffer that may be zero is compared with; counters and indices do not count."""
        sizes = {
            name: _size(value) for name, value in self.values.items() if value.is_floating_point() or value.is_complex()
        }
        return {
            kind: NOISE * math.hypot(*(size for name, size in sizes.items() if name.startswith(kind)))
            for kind in (GRADIENT, BUFFER)
        }

    def differences(self, other: Pass, *, bound: float) -> dict[str, float]:
        """Return by how much each value differs, by name, for those that differ by more than the bound."""
        if self.values.keys() != other.values.keys():
            names = sorted(self.values.keys() ^ other.values.keys())
            raise ProofError(f"only one of two steps has a {names[0]}")
        differences = {name: _distance(other.values[name], value) for name, value in self.values.items()}
        return {
            name: difference
            for name, difference in differences.items()
            if not difference <= bound * _size(self.values[name])
        }

    def check(self, other: Pass, precise: Pass, names: dict[str, float], *, precision: str) -> list[str]:
        """Raise if another pass is much farther than this one from a precise one, in any of the named values.

        Returns the names for which this cannot be told, since this pass itself is hardly more than rounding errors.
        """
        unclear = []
        for name, difference in names.items():
            right = precise.values.get(name, torch.tensor(torch.nan))
            own, theirs = _distance(self.values[name], right), _distance(other.values[name], right)
            size, noise = _size(right), self._noise_of(name)
            is_zero = size <= ZERO * own
            allowed = OWN_ERRORS[precision] * noise if is_zero else BOUNDS[precision] * size
            is_right = theirs <= max((2 if right.numel() >= FEW else 5) * own, allowed)
            if not is_right or not own <= MAX_OWN_ERRORS[precision] * (size + noise):
                raise ProofError(self._how_far(name, difference))
            if not is_zero and own > OWN_ERRORS[precision] * size:
                unclear.append(name)
        return unclear

    def check_clearly(self, other: Pass, names: Iterable[str]) -> None:
        """Raise if another pass of the same precision is not roughly equal to this one, in any of the named values."""
        for name in names:
            difference = _distance(self.values[name], other.values[name])
            if not difference <= ROUGHLY * (_size(self.values[name]) + self._noise_of(name)):
                raise ProofError(self._how_far(name, difference))

    def _how_far(self, name: str, difference: float) -> str:
        return f"the {name} differs by {difference / (_size(self.values[name]) or 1):.1e} of its norm"

    def _noise_of(self, name: str) -> float:
        return next((noise for kind, noise in self.noise.items() if name.startswith(kind)), 0.0)


def computed(
    model: nn.Module,
    images: Tensor,
    mean_loss: Callable[[Tensor], Tensor],
    acceleration: Acceleration,
    *,
    seed: int,
) -> Pass:
    """Compute a training step up to the gradients, and logits in eval mode.

    ``images`` may be changed by the model. ``seed`` is that of the random numbers; ``mean_loss`` maps the logits of the
    batch to its loss.
    """
    seed_everything(seed)
    result = Pass()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.register_post_accumulate_grad_hook(partial(result.take, name))  # type: ignore[no-untyped-call]
    kept = images.clone()  # a model may change its input in place, also by noise that leaves no border constant
    model.train()
    with acceleration.context(images):
        loss = mean_loss(model(images))
    loss.backward()  # type: ignore[no-untyped-call]
    result.values["loss"] = _sampled(loss)
    result.values |= {BUFFER + name: _sampled(value) for name, value in model.named_buffers()}
    model.eval()
    images = _as_in_evaluation(kept)
    with torch.no_grad(), acceleration.context(images):
        result.values["output in eval mode"] = _sampled(model(images))
    return result


def _as_in_evaluation(images: Tensor) -> Tensor:
    """Return a batch as large as those of an evaluation, for which a layer may be computed otherwise."""
    if len(images) >= EVAL_BATCH_SIZE or images.device.type != "cpu":
        return images
    return images[torch.arange(EVAL_BATCH_SIZE) % len(images)]


def _sampled(tensor: Tensor) -> Tensor:
    """Return a copy of the numbers of a tensor, or, of a large one, of some in all rows and columns."""
    numbers = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    if numbers.numel() <= MAX_NUMBERS:
        return numbers.flatten().cpu().clone()
    if numbers.ndim == 1:
        return numbers[::SAMPLED].cpu().clone()
    # Diagonals, by their indices: the order in memory may be any.
    diagonals = [numbers[first::SAMPLED, -first % SAMPLED :: SAMPLED] for first in range(SAMPLED)]
    return torch.cat([diagonal.flatten() for diagonal in diagonals]).cpu()


def _size(tensor: Tensor) -> float:
    """Return the norm of the numbers that are finite: masks of attention have others."""
    return norm(torch.nan_to_num(tensor.double(), nan=0.0, posinf=0.0, neginf=0.0))


def _distance(left: Tensor, right: Tensor) -> float:
    # Masks of attention have infinite numbers, of which a difference would be NaN.
    return norm(torch.where(left == right, 0.0, left.double() - right.double()))
