"""One training step computed twice, by plain PyTorch and with the levers, before a trial takes its first.

Both start from copies of the same model, with the same random numbers, on the first batch. These must agree: the
loss, the gradient of every parameter, buffers, and logits in eval mode; and, from the same gradients, weights and
states after two steps of the optimizer. If they do not, the levers are added to torch one by one, and those that differ
or raise are dropped.

Nothing is left behind: the model and the optimizer are copied, the random generators put back, and freed memory is
returned to the system, so that training needs no more than without a proof.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.errors import first_line
from benchbench.records.tracebacks import trace
from benchbench.worker.accelerate.allocator import give_back_memory, is_out_of_memory
from benchbench.worker.accelerate.proof_pass import Pass, computed
from benchbench.worker.accelerate.proof_steps import ProofError, check_outcomes, copied_optimizer, outcome, rows_like
from benchbench.worker.accelerate.tolerances import BOUNDS
from benchbench.worker.batches import padded_to_outputs
from benchbench.worker.seeds import buffers_kept, random_states_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchbench.worker.accelerate.acceleration import Acceleration
    from benchbench.worker.accelerate.lazy_gradient import Factors
    from benchbench.worker.accelerate.lever import Case, Lever


FILLED = 0.1
"""Of the size of weights that are zero at the beginning."""


class _NoRoomError(Exception):
    """Memory ran out in a proof, which needs more than a training step."""


@dataclass(frozen=True)
class Proof:
    """What a proof needs: the trial, its first batch on the device, the seed of its random numbers, and its loss."""

    case: Case
    images: Tensor
    labels: Tensor
    seed: int
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy

    def proven(self, acceleration: Acceleration) -> Acceleration:
        """Return the acceleration with only those levers that compute the same as torch."""
        if not acceleration.levers:
            return acceleration
        half = len(self.images) // 2
        with suppress(_NoRoomError):
            return self._proven(acceleration)
        # On a GPU, no lever depends on the number of images. Here, so that no error keeps what it had computed.
        if acceleration.device.type == "cpu" or not half:
            return _unproven(acceleration, "memory is short")
        return replace(self, images=self.images[:half], labels=self.labels[:half]).proven(acceleration)

    def _proven(self, acceleration: Acceleration) -> Acceleration:
        with random_states_kept(acceleration.device), buffers_kept(self.case.model):
            try:
                plain = self._pass(replace(acceleration, levers=()))
                self._check_gradients(plain)
            except Exception as error:  # the model is a stranger's; without a copy there is no proof
                if is_out_of_memory(error):
                    raise _NoRoomError from error
                trace(error)
                return _unproven(acceleration, _kind_and_first_line(error))
            return self._dropping(acceleration, plain, cache(lambda: self._precise(acceleration)))

    def _check_gradients(self, plain: Pass) -> None:
        """Raise if no gradient reached the copy: what computes may be the model itself, held by a lambda."""
        trained = [weight for weight in self.case.model.parameters() if weight.requires_grad]
        for weight in trained:
            weight.grad = None
        if trained and not plain.gradients:
            raise ProofError("no gradient reaches a copy of the model")

    def _dropping(self, acceleration: Acceleration, plain: Pass, precise: Callable[[], Pass]) -> Acceleration:
        if self._problem(acceleration, plain, precise) is None:
            return acceleration
        dropped: dict[str, str] = {}
        kept: list[Lever] = []
        for lever in acceleration.levers:
            if lever.needs and lever.needs not in {other.fact for other in kept}:
                dropped[lever.name] = f"it needs another way to compute {lever.needs}"
                continue
            problem = self._problem(replace(acceleration, levers=(*kept, lever)), plain, precise)
            if problem is None:
                kept.append(lever)
            else:
                dropped[lever.name] = problem
        alone = {lever.name: f"it is only used with {lever.only_with}" for lever in kept if lever.is_alone(kept)}
        if alone:
            rest = replace(acceleration, levers=tuple(lever for lever in kept if lever.name not in alone))
            proven = self._dropping(rest, plain, precise)
            return proven.without({**dropped, **alone, **proven.dropped}, proven.levers)
        return acceleration.without(dropped, kept)

    def _problem(self, acceleration: Acceleration, plain: Pass, precise: Callable[[], Pass]) -> str | None:
        """Return how a step with these levers differs from one of plain PyTorch, or None.

        ``precise`` computes the same step in the next wider type, which is only needed if there are differences.
        """
        try:
            changes_model = any(lever.fact != "optimizer" or lever.needs for lever in acceleration.levers)
            accelerated = self._pass(acceleration) if changes_model else plain
            differences = plain.differences(accelerated, bound=BOUNDS[acceleration.precision])
            if differences:
                unclear = plain.check(accelerated, precise(), differences, precision=acceleration.precision)
                if unclear and acceleration.precision == "bf16":
                    precise().check_clearly(self._pass(replace(acceleration, precision="fp32")), unclear)
            if accelerated.gradients:
                self._check_steps(acceleration, accelerated.gradients)
        except _NoRoomError:
            raise
        except ProofError as error:
            return str(error)
        except Exception as error:  # the model is a stranger's, and so is what a lever does to it
            if is_out_of_memory(error):
                raise _NoRoomError from error
            trace(error)
            return _kind_and_first_line(error)
        return None

    def _pass(self, acceleration: Acceleration) -> Pass:
        """Compute a training step up to the gradients, and logits in eval mode, on a copy of the model."""
        give_back_memory()
        model = _copied(self.case.model)
        optimizer = copied_optimizer(
            self.case.optimizer, dict(zip(self.case.model.parameters(), model.parameters(), strict=True))
        )
        applied = acceleration.applied(replace(self.case, model=model, optimizer=optimizer))
        images = self.images.clone(memory_format=acceleration.memory_format)  # a model may change its input in place
        return computed(model, images, self._mean_loss, applied, seed=self.seed)

    def _precise(self, acceleration: Acceleration) -> Pass:
        """Compute the same step in the next wider type, without any values if the model does not run in it."""
        give_back_memory()
        model = _copied(self.case.model)
        plain = replace(acceleration, precision="fp32", mode="off", levers=(), compiled=False)
        plain.apply()
        try:
            if acceleration.precision == "fp32":
                return computed(model.double(), self.images.double(), self._mean_loss, plain, seed=self.seed)
            return computed(model, self.images.clone(), self._mean_loss, plain, seed=self.seed)
        except Exception as error:  # some models convert to fp32 themselves, and raise whatever they like
            if is_out_of_memory(error):
                raise _NoRoomError from error
            trace(error)
            return Pass()
        finally:
            acceleration.apply()

    def _mean_loss(self, logits: Tensor) -> Tensor:
        """Return the loss of the batch, in the type of the logits but no smaller one than float32.

        It is that of a copy: a loss may keep a state, which a proof must not change.
        """
        loss = copy.deepcopy(self.loss)
        targets = padded_to_outputs(self.labels, logits.shape[1])
        if logits.dtype != torch.float64:
            return loss(logits.float(), targets)
        if isinstance(loss, nn.Module):
            loss.double()
        return loss(logits, targets.double() if targets.is_floating_point() else targets)

    def _check_steps(self, acceleration: Acceleration, gradients: dict[str, Tensor | Factors]) -> None:
        """Raise if two steps of the optimizer from these gradients are not those of torch's own."""
        levers = tuple(lever for lever in acceleration.levers if lever.fact == "optimizer")
        if not levers:
            return
        parameters = {name: weight for name, weight in self.case.model.named_parameters() if name in gradients}
        outcomes = []
        for chosen in ((), levers):
            twins = {name: nn.Parameter(rows_like(weight, gradients[name])) for name, weight in parameters.items()}
            optimizer = copied_optimizer(self.case.optimizer, {parameters[name]: twin for name, twin in twins.items()})
            replace(acceleration, levers=chosen).applied(replace(self.case, optimizer=optimizer))
            outcomes.append(outcome(optimizer, twins, gradients, is_plain=not chosen))
        check_outcomes(*outcomes)


def _unproven(acceleration: Acceleration, why: str) -> Acceleration:
    reason = f"there is no proof: {why}"
    return acceleration.without({lever.name: reason for lever in acceleration.levers}, ())


def _copied(model: nn.Module) -> nn.Module:
    """Return a copy; on the CPU, its weights share their memory with the model's until somebody writes to them."""
    twins: dict[int, Any] = {}
    for weight in model.parameters():
        if type(weight) is nn.Parameter and weight.device.type == "cpu" and weight.layout is torch.strided:
            twins[id(weight)] = nn.Parameter(_lazily_cloned(weight.detach()), requires_grad=weight.requires_grad)
    copied = copy.deepcopy(model, twins)
    _fill_zeros(copied)
    return copied


def _lazily_cloned(weight: Tensor) -> Tensor:
    try:
        return weight._lazy_clone()  # noqa: SLF001 - copies on write have no public name
    except RuntimeError:  # the memory is not torch's own, but that of numpy or of another process
        return weight.clone()


@torch.no_grad()
def _fill_zeros(model: nn.Module) -> None:
    """Fill weights that are all zero, with the same numbers each time: gradients behind them would be zero as well."""
    for weight in model.parameters():
        is_plain = weight.layout is torch.strided and weight.is_floating_point() and not weight.is_meta
        if weight.requires_grad and is_plain and not weight.any():
            generator = torch.Generator().manual_seed(weight.numel())
            weight.copy_(FILLED * torch.randn(weight.shape, generator=generator))


def _kind_and_first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
