"""Checks of an optimizer: its groups, its steps and its state."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchbench.plugin.failures import check_returned, failures_named
from benchbench.testing import parameters
from benchbench.testing.checking import check, outcomes, raise_failures, require
from benchbench.testing.generators import require_unseeded
from benchbench.testing.saved import saved_and_loaded
from benchbench.worker.seeds import random_states_kept, seed_everything
from benchbench.worker.train import switch_mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.plugin.optimizer import Optimizer
    from benchbench.protocol.plugin_check_messages import CheckOutcome

TOY_STEPS = 30
_BUILD = "build() gets the model: give its model.parameters(), in groups if need be, to the torch optimizer"


class Toy:
    """A small problem that any optimizer makes progress on. From one seed it is the same in every detail each time."""

    def __init__(self, plugin: Optimizer, *, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
        self.inputs = torch.randn(24, 8)
        self.labels = self.inputs[:, :3].argmax(dim=1)
        with failures_named(plugin, method="build"):
            built = plugin.build(self.network)
        self.optimizer = check_returned(built, torch.optim.Optimizer, plugin=plugin, function=plugin.build)
        switch_mode(self.optimizer, "train")

    def backward(self) -> float:
        """Compute the gradients and return the loss."""
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.network(self.inputs), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def step(self) -> float:
        """Take one step and return the loss before it."""
        loss = self.backward()
        self.optimizer.step()
        return loss

    def unchanged_by(self, num_steps: int) -> list[str]:
        """Return the names of the parameters that so many steps do not change."""
        before = [parameter.detach().clone() for parameter in self.network.parameters()]
        for _ in range(num_steps):
            self.step()
        pairs = zip(before, self.network.named_parameters(), strict=True)
        return [name for old, (name, parameter) in pairs if torch.equal(old, parameter)]


class OptimizerSubject:
    """An optimizer, and a problem that it steps on."""

    def __init__(self, plugin: Optimizer) -> None:
        self.plugin = plugin

    @cached_property
    def toy(self) -> Toy:
        """A problem that no check has stepped on."""
        return Toy(self.plugin)


@check()
def builds(subject: OptimizerSubject) -> None:
    """Check that ``build`` returns a torch optimizer."""
    _ = subject.toy


@check(needs=(builds,))
def seeds_nothing(subject: OptimizerSubject) -> None:
    """Check that ``build`` seeds no global generator: dropout depends on the seed of the trial."""
    require_unseeded(lambda seed: Toy(subject.plugin, seed=seed))


@check(needs=(builds,))
def groups(subject: OptimizerSubject) -> None:
    """Check that every parameter that trains is in a group, and each group has a learning rate."""
    toy = subject.toy
    known = [id(weight) for group in toy.optimizer.param_groups for weight in group["params"]]
    left_out = [name for name, weight in toy.network.named_parameters() if id(weight) not in known]
    require(not left_out, f"no group has {', '.join(left_out)} of a small network", fix=_BUILD)
    has_rates = all("lr" in group for group in toy.optimizer.param_groups)
    require(has_rates, "a group has no lr", fix="give each group an lr, which schedulers change and records keep")


@check(needs=(builds,))
def steps(subject: OptimizerSubject) -> None:
    """Check that steps change every parameter of every group."""
    unchanged = Toy(subject.plugin).unchanged_by(3)
    num_weights = len(list(subject.toy.network.parameters()))
    problem = f"a step does not change {', '.join(unchanged)}"
    if len(unchanged) == num_weights:
        problem = "a step changes no parameter"
    require(not unchanged, problem, fix="look at the groups, and at their learning rates")


@check(needs=(builds, steps))
def lowers_the_loss(subject: OptimizerSubject) -> None:
    """Check that some steps lower the loss of a small problem."""
    toy = Toy(subject.plugin)
    losses = [toy.step() for _ in range(TOY_STEPS + 1)]
    problem = f"{TOY_STEPS} steps do not lower the loss: {losses[0]:.4g} to {losses[-1]:.4g}"
    require(losses[-1] < losses[0], problem, fix="try another default for lr, or look at the sign of the step")


@check(needs=(builds,))
def finite(subject: OptimizerSubject) -> None:
    """Check that weights stay finite, also after a step with gradients that are all zero."""
    toy = Toy(subject.plugin)
    for _ in range(2):
        toy.backward()
        for weight in toy.network.parameters():
            weight.grad = torch.zeros_like(weight)
        toy.optimizer.step()
    broken = [name for name, weight in toy.network.named_parameters() if not weight.isfinite().all()]
    fix = "add a small number to what gradients are divided by"
    require(not broken, f"gradients of zero make {', '.join(broken)} infinite or NaN", fix=fix)


@check(needs=(builds,))
def missing_gradients(subject: OptimizerSubject) -> None:
    """Check that a parameter without a gradient is passed over, as in a part of a model that is not used."""
    toy = Toy(subject.plugin)
    toy.backward()
    for weight in toy.network[0].parameters():
        weight.grad = None
    try:
        toy.optimizer.step()
    except (AttributeError, TypeError) as error:
        problem = f"a step fails if a parameter has no gradient: {error}"
        require(False, problem, fix="if parameter.grad is None: continue")


@check(needs=(builds,))
def state(subject: OptimizerSubject) -> None:
    """Check that its state can be saved and loaded like a checkpoint, and the next step is then the same."""
    toy, twin = Toy(subject.plugin), Toy(subject.plugin)
    for _ in range(3):
        toy.step()
    twin.network.load_state_dict(toy.network.state_dict())
    twin.optimizer.load_state_dict(saved_and_loaded(toy.optimizer.state_dict()))
    for each in (toy, twin):
        seed_everything(0)  # a checkpoint has the states of the global generators as well
        each.step()
    for (name, one), other in zip(toy.network.named_parameters(), twin.network.parameters(), strict=True):
        problem = f"with its state saved and loaded, the next step changes {name} differently"
        fix = "keep all that steps depend on in self.state and param_groups, or in state_dict() and load_state_dict()"
        require(torch.equal(one, other), problem, fix=fix)


@check(needs=(groups, steps))
def learning_rate(subject: OptimizerSubject) -> None:
    """Check that steps depend on the learning rate of each group, which schedulers and the warm-up change."""
    usual, slow = Toy(subject.plugin), Toy(subject.plugin)
    for group in slow.optimizer.param_groups:
        group["lr"] = group["lr"] / 10
    for toy in (usual, slow):
        toy.backward()  # once: gradients that differ would change every weight
        for _ in range(3):
            toy.optimizer.step()
    pairs = zip(usual.network.named_parameters(), slow.network.parameters(), strict=True)
    same = [name for (name, one), other in pairs if torch.equal(one, other)]
    fix = 'compute each step with group["lr"], read from self.param_groups at that step'
    require(not same, f"with a tenth of the learning rate, steps change {', '.join(same)} as much as before", fix=fix)


CHECKS = (builds, seeds_nothing, groups, steps, lowers_the_loss, finite, missing_gradients, state, learning_rate)


def optimizer_outcomes(optimizer: Optimizer) -> Iterator[CheckOutcome]:
    """Yield what each check of an optimizer comes to."""
    yield from outcomes(parameters.CHECKS, optimizer, optimizer)
    with random_states_kept(torch.device("cpu")):
        yield from outcomes(CHECKS, OptimizerSubject(optimizer), optimizer)


def check_optimizer(optimizer: Optimizer) -> None:
    """Check that steps change every parameter and lower the loss, and that the state can be saved and loaded.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"optimizer {optimizer.name}", optimizer_outcomes(optimizer))
