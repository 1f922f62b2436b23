"""One training step computed twice, by torch alone and with the levers, before a trial takes its first.

Both start from copies of the same model, with the same random numbers, on the first batch. These must agree: the
loss, the gradient of every parameter, buffers, and logits in eval mode; and, from the same gradients, weights and
states after two steps of the optimizer. If they do not, the levers are added to torch one by one, and those that differ
or raise are dropped.

Nothing is left behind: the model and the optimizer are copied and the random generators put back. To save memory,
gradients are dropped as soon as they are compared, of large tensors every 17th number or so is kept, and the optimizer
is tried on some rows of each weight, since it treats all numbers alike.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.worker.accelerate.acceleration import Acceleration
from benchbench.worker.accelerate.factored import FactoredGradient, Factors
from benchbench.worker.accelerate.optimizers import FUSED
from benchbench.worker.seeds import random_states_kept, seed_everything

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.accelerate.levers import Case, Lever

MAX_NUMBERS = 2**20
MAX_STEPPED = 2**16
"""Numbers of a gradient that are compared, and of a weight that the optimizer is tried on."""

BOUNDS = {"fp32": 1e-5, "tf32": 1e-3, "bf16": 2**-8}
"""Of the difference by the norm, for each tensor; a larger one may be up to twice torch's own error."""

OWN_ERRORS = {"fp32": 1e-2, "tf32": 0.1, "bf16": 0.5}
"""Up to which torch's own error is one of rounding: beyond it, the precise step had other random numbers."""

STEP_BOUND = 1e-5
ROUNDING = 2e-7
"""Of steps of the optimizer from the same gradients: by the norm of the change, and by that of the weight."""

NOISE = 0.01
"""Times the norm of all gradients: the rounding of one that is zero is compared with that, and not with itself."""

GRADIENT = "gradient of "


class ProofError(Exception):
    """A step with levers that is not the one without them; the message says in what."""


@dataclass(frozen=True)
class Proof:
    """What a proof needs: the trial, its first batch on the device, and the seed of its random numbers."""

    case: Case
    images: Tensor
    labels: Tensor
    seed: int

    def proven(self, acceleration: Acceleration) -> Acceleration:
        """Return the acceleration with those levers alone that compute what torch computes."""
        if not acceleration.levers:
            return acceleration
        with random_states_kept(acceleration.device):
            try:
                plain = self._pass(replace(acceleration, levers=()))
            except Exception as error:  # noqa: BLE001 - the model is a stranger's; without a copy there is no proof
                reason = f"there is no proof: {_told(error)}"
                return acceleration.without({lever.name: reason for lever in acceleration.levers}, ())
            return self._dropping(acceleration, plain)

    def _dropping(self, acceleration: Acceleration, plain: _Pass) -> Acceleration:
        if self._problem(acceleration, plain) is None:
            return acceleration
        dropped: dict[str, str] = {}
        kept: list[Lever] = []
        for lever in acceleration.levers:
            if lever.needs and lever.needs not in {other.fact for other in kept}:
                dropped[lever.name] = f"it needs another way to compute {lever.needs}"
                continue
            problem = self._problem(replace(acceleration, levers=(*kept, lever)), plain)
            if problem is None:
                kept.append(lever)
            else:
                dropped[lever.name] = problem
        return acceleration.without(dropped, kept)

    def _problem(self, acceleration: Acceleration, plain: _Pass) -> str | None:
        """Return in what a step with these levers is not that of torch alone, or None."""
        try:
            changes_model = any(lever.fact != "optimizer" or lever.needs for lever in acceleration.levers)
            accelerated = self._pass(acceleration) if changes_model else plain
            differences = plain.differences(accelerated, bound=BOUNDS[acceleration.precision])
            if differences:
                precise = self._precise(acceleration, differences)
                plain.check(accelerated, precise, differences, precision=acceleration.precision)
            if accelerated.gradients:
                self._check_steps(acceleration, accelerated.gradients)
        except ProofError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the model is a stranger's, and so is what a lever does to it
            return _told(error)
        return None

    def _pass(self, acceleration: Acceleration) -> _Pass:
        """Compute a training step up to the gradients, and logits in eval mode, on a copy of the model."""
        model = copy.deepcopy(self.case.model)
        optimizer = _copied(
            self.case.optimizer, dict(zip(self.case.model.parameters(), model.parameters(), strict=True))
        )
        applied = acceleration.applied(replace(self.case, model=model, optimizer=optimizer))
        images = self.images.contiguous(memory_format=acceleration.memory_format)
        return _computed(model, images, self.labels, applied, seed=self.seed)

    def _precise(self, acceleration: Acceleration, names: dict[str, float]) -> _Pass:
        """Compute the same step in the next wider type, and the gradients of these names alone.

        Without any values if the model does not run in it.
        """
        model = copy.deepcopy(self.case.model)
        for name, weight in model.named_parameters():
            weight.requires_grad_(weight.requires_grad and GRADIENT + name in names)
        plain = Acceleration(acceleration.device, "fp32", "off")
        plain.apply()
        try:
            if acceleration.precision == "fp32":
                return _computed(model.double(), self.images.double(), self.labels, plain, seed=self.seed)
            return _computed(model, self.images, self.labels, plain, seed=self.seed)
        except Exception:  # noqa: BLE001 - some models convert to fp32 themselves, and raise whatever they like
            return _Pass()
        finally:
            acceleration.apply()

    def _check_steps(self, acceleration: Acceleration, gradients: dict[str, Tensor | Factors]) -> None:
        """Raise if two steps of the optimizer from these gradients are not those of torch's own."""
        levers = tuple(lever for lever in acceleration.levers if lever.fact == "optimizer")
        if not levers:
            return
        parameters = {name: weight for name, weight in self.case.model.named_parameters() if name in gradients}
        outcomes = []
        for chosen in ((), levers):
            twins = {name: nn.Parameter(_rows_like(weight, gradients[name])) for name, weight in parameters.items()}
            optimizer = _copied(self.case.optimizer, {parameters[name]: twin for name, twin in twins.items()})
            replace(acceleration, levers=chosen).applied(replace(self.case, optimizer=optimizer))
            outcomes.append(_stepped(optimizer, twins, gradients, is_plain=not chosen))
        _check_outcomes(*outcomes)


@dataclass
class _Pass:
    """Loss, gradients, buffers and logits by name, and of each gradient some rows."""

    values: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor | Factors] = field(default_factory=dict)

    def take(self, name: str, weight: Tensor) -> None:
        """Note a gradient, and forget it."""
        gradient = weight.grad
        if gradient is None:
            return
        sampled = _sampled(gradient)
        # Backward passes within backward passes (reentrant checkpoints) bring it in parts.
        self.values[GRADIENT + name] = self.values.get(GRADIENT + name, 0) + sampled
        self.gradients[name] = _some_rows(gradient)
        weight.grad = None

    @cached_property
    def noise(self) -> float:
        """What a gradient that may be zero is compared with."""
        norms = [_norm(value) for name, value in self.values.items() if name.startswith(GRADIENT)]
        return NOISE * float(np.linalg.norm(norms)) if norms else 0.0

    def differences(self, other: _Pass, *, bound: float) -> dict[str, float]:
        """Return the names of all that differs by more than the bound, and by how much."""
        if self.values.keys() != other.values.keys():
            names = sorted(self.values.keys() ^ other.values.keys())
            raise ProofError(f"only one of two steps has a {names[0]}")
        differences = {name: _distance(other.values[name], value) for name, value in self.values.items()}
        return {
            name: difference
            for name, difference in differences.items()
            if not difference <= bound * (_norm(self.values[name]) + self._noise_of(name))
        }

    def check(self, other: _Pass, precise: _Pass, names: dict[str, float], *, precision: str) -> None:
        """Raise if another pass is much farther than this from a precise one in any of these."""
        for name, difference in names.items():
            right = precise.values.get(name, torch.tensor(torch.nan))
            own, theirs = _distance(self.values[name], right), _distance(other.values[name], right)
            slack = BOUNDS[precision] * (_norm(right) + self._noise_of(name))
            is_rounding = own <= OWN_ERRORS[precision] * (_norm(right) + self._noise_of(name))
            if not (is_rounding and theirs <= max(2 * own, slack)):
                raise ProofError(
                    f"the {name} differs by {difference / (_norm(self.values[name]) or 1):.1e} of its norm"
                )

    def _noise_of(self, name: str) -> float:
        return self.noise if name.startswith(GRADIENT) else 0.0


def _computed(model: nn.Module, images: Tensor, labels: Tensor, acceleration: Acceleration, *, seed: int) -> _Pass:
    seed_everything(seed)
    result = _Pass()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.register_post_accumulate_grad_hook(partial(result.take, name))  # type: ignore[no-untyped-call]
    model.train()
    with acceleration.context(images):
        logits = model(images)
        loss = F.cross_entropy(logits if logits.dtype == torch.float64 else logits.float(), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    result.values["loss"] = _sampled(loss)
    result.values |= {f"buffer {name}": _sampled(value) for name, value in model.named_buffers()}
    model.eval()
    with torch.no_grad(), acceleration.context(images):
        result.values["output in eval mode"] = _sampled(model(images))
    return result


def _stepped(
    optimizer: Optimizer, weights: dict[str, nn.Parameter], gradients: dict[str, Tensor | Factors], *, is_plain: bool
) -> dict[str, tuple[Tensor, Tensor]]:
    """Take two steps, and return of each weight and state what it was and what it is."""
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for _ in range(2):
        for name, weight in weights.items():
            weight.grad = _gradient(gradients[name], is_plain=is_plain)
        optimizer.step()
    after = {f"weight {name} after a step": (before[name], weight.detach()) for name, weight in weights.items()}
    for name, weight in weights.items():
        for key, value in optimizer.state[weight].items():
            if isinstance(value, torch.Tensor):
                after[f"{key} of {name}"] = (torch.zeros_like(value), value)
    return after


def _gradient(gradient: Tensor | Factors, *, is_plain: bool) -> Tensor:
    """Return a copy of a gradient that a step may use up."""
    if not isinstance(gradient, Factors):
        return gradient.clone()
    factors = gradient.rows(gradient.num_rows)
    return factors.product() if is_plain else FactoredGradient(factors)


def _check_outcomes(plain: dict[str, tuple[Tensor, Tensor]], accelerated: dict[str, tuple[Tensor, Tensor]]) -> None:
    if plain.keys() != accelerated.keys():
        raise ProofError("the optimizer has another state")
    for name, (before, after) in plain.items():
        allowed = STEP_BOUND * _norm(after - before) + ROUNDING * _norm(after)
        difference = _norm(accelerated[name][1] - after)
        if not difference <= allowed:
            raise ProofError(f"the {name} differs by {difference / (_norm(after - before) or 1):.1e} of its change")


def _copied(optimizer: Optimizer, weights: dict[Any, Any]) -> Optimizer:
    """Return an optimizer of the same kind for other weights; which kind is the same to all levers if it is unknown."""
    if type(optimizer) not in FUSED:
        return torch.optim.SGD(list(weights.values()))
    groups = [
        group | {"params": [weights[weight] for weight in group["params"] if weight in weights]}
        for group in optimizer.param_groups
    ]
    kind: Any = type(optimizer)
    return kind([group for group in groups if group["params"]])  # type: ignore[no-any-return]


def _sampled(tensor: Tensor) -> Tensor:
    """Return a copy of the numbers of a tensor, or, of a large one, of some in all rows and columns."""
    numbers = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    size = numbers.numel()
    if size > MAX_NUMBERS:
        step = next(step for step in count(17) if gcd(step, size) == 1)
        # Not of a flat copy: the order in memory may be any.
        numbers = numbers[torch.unravel_index(torch.arange(0, size, step, device=numbers.device), numbers.shape)]
    return numbers.flatten().cpu().clone()


def _some_rows(gradient: Tensor) -> Tensor | Factors:
    """Return as many rows of a gradient as are compared, still factored if it is."""
    if isinstance(gradient, FactoredGradient):
        factors = gradient.factors
        return factors.rows(max(32, MAX_STEPPED // factors.x.shape[1] // 32 * 32))
    gradient = gradient.detach() if gradient.layout is torch.strided else gradient.detach().to_dense()
    if gradient.numel() <= MAX_STEPPED:
        return gradient.clone()
    return gradient[: max(1, MAX_STEPPED // gradient[0].numel())].clone()


def _rows_like(weight: Tensor, gradient: Tensor | Factors) -> Tensor:
    """Return as many rows of a weight as there are of its gradient."""
    if weight.ndim == 0:
        return weight.detach().clone()
    return weight.detach()[: gradient.num_rows if isinstance(gradient, Factors) else len(gradient)].clone()


def _norm(tensor: Tensor) -> float:
    return float(tensor.double().norm())


def _distance(left: Tensor, right: Tensor) -> float:
    return _norm(left.double() - right.double())


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
