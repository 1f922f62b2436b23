"""Checks of a loss: one finite number, for labels and for fractions of classes, that training can lower."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from benchbench.plugin.failures import check_returned, failures_named, forward_of
from benchbench.testing import parameters
from benchbench.testing.checking import check, outcomes, raise_failures, require
from benchbench.testing.generators import require_unseeded
from benchbench.testing.saved import saved_and_loaded
from benchbench.worker.seeds import random_states_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchbench.plugin.loss import Loss
    from benchbench.protocol.plugin_check_messages import CheckOutcome

NUM_IMAGES, NUM_CLASSES, NUM_OUTPUTS = 6, 3, 5
STEP = 0.01
MIXED = 0.7
SUM_TOLERANCE = 0.05
"""How near to twice the loss of a batch that of the batch twice may not be, relatively."""


class LossSubject:
    """A loss, and logits of a model that has more outputs than there are classes."""

    def __init__(self, plugin: Loss) -> None:
        self.plugin = plugin
        self.labels = torch.arange(NUM_IMAGES) % NUM_CLASSES
        self.fractions = functional.one_hot(self.labels, NUM_OUTPUTS).float()
        self.logits = torch.randn(NUM_IMAGES, NUM_OUTPUTS, generator=torch.Generator().manual_seed(0))

    @cached_property
    def module(self) -> nn.Module:
        """What the plugin builds."""
        with failures_named(self.plugin, method="build"):
            built = self.plugin.build(self.labels, num_outputs=NUM_OUTPUTS)
        return check_returned(built, nn.Module, plugin=self.plugin, function=self.plugin.build)

    def of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits."""
        loss = self.module(logits, targets)
        return check_returned(loss, torch.Tensor, plugin=self.plugin, function=forward_of(self.module))

    def gradient(self, targets: Tensor) -> Tensor | None:
        """Return that of the logits, or None if none reaches them."""
        logits = self.logits.clone().requires_grad_()
        loss = self.of(logits, targets)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        return logits.grad


@check()
def builds(subject: LossSubject) -> None:
    """Check that ``build`` returns a module, and that nothing in it would have to be trained."""
    trained = [name for name, parameter in subject.module.named_parameters() if parameter.requires_grad]
    require(
        not trained, f"no optimizer trains its {', '.join(trained)}", fix="keep numbers in buffers: register_buffer()"
    )


@check(needs=(builds,))
def seeds_nothing(subject: LossSubject) -> None:
    """Check that ``build`` seeds no global generator: dropout depends on the seed of the trial."""
    require_unseeded(lambda _: LossSubject(subject.plugin).module)


@check(needs=(builds,))
def one_number(subject: LossSubject) -> None:
    """Check that the loss of labels is one finite number."""
    _check_number(subject, subject.labels, "labels int64 [N]")


@check(needs=(builds,))
def fractions_of_classes(subject: LossSubject) -> None:
    """Check that the loss of fractions of classes, as mixed images have them, is one finite number."""
    _check_number(subject, subject.fractions, "fractions of classes, float32 [N, num_outputs]")


def _check_number(subject: LossSubject, targets: Tensor, words: str) -> None:
    loss = subject.of(subject.logits, targets)
    require(loss.ndim == 0, f"for {words}, the loss is not one number but {list(loss.shape)}", fix="return the mean")
    require(bool(loss.isfinite()), f"of {words}, it is {loss.item()}", fix="compute with log_softmax, not with log")


@check(needs=(builds, one_number, fractions_of_classes))
def can_be_lowered(subject: LossSubject) -> None:
    """Check that a small step against the gradient lowers the loss."""
    for targets in (subject.labels, subject.fractions):
        gradient = subject.gradient(targets)
        require(gradient is not None, "no gradient reaches the logits", fix="do not detach them")
        assert gradient is not None  # noqa: S101 - for mypy
        require(bool(gradient.isfinite().all()), "its gradient is not finite", fix="compute with log_softmax")
        before, after = (subject.of(subject.logits - step * gradient, targets).item() for step in (0, STEP))
        problem = f"a small step against its gradient does not lower it: {before:.6g} to {after:.6g}"
        require(after < before, problem, fix="look at its sign")


@check(needs=(one_number, fractions_of_classes))
def mean_of_the_batch(subject: LossSubject) -> None:
    """Check that the same images twice in a batch do not have twice the loss.

    Their loss may differ, since a loss may compare the images of a batch.
    """
    for targets in (subject.labels, subject.fractions):
        once = subject.of(subject.logits, targets).item()
        twice = subject.of(torch.cat([subject.logits] * 2), torch.cat([targets] * 2)).item()
        is_sum = once != 0 and math.isclose(twice, 2 * once, rel_tol=SUM_TOLERANCE)
        problem = f"the same images twice in a batch have twice the loss: {once:.6g} and {twice:.6g}"
        require(not is_sum, problem, fix="return the mean over the images, not their sum")


@check(needs=(fractions_of_classes,))
def mixed_classes(subject: LossSubject) -> None:
    """Check that the second class of a mixed image counts."""
    mixed = MIXED * subject.fractions + (1 - MIXED) * subject.fractions.roll(1, dims=0)
    one, both = (subject.of(subject.logits, targets).item() for targets in (subject.fractions, mixed))
    problem = f"images of {MIXED:.0%} of one class and {1 - MIXED:.0%} of another have the loss of the first alone"
    require(one != both, problem, fix="use the fractions of all classes, not targets.argmax(1)")


@check(needs=(builds, one_number))
def state(subject: LossSubject) -> None:
    """Check that its state can be saved and loaded like a checkpoint, and the loss is then the same."""
    again = LossSubject(subject.plugin)
    again.module.load_state_dict(saved_and_loaded(subject.module.state_dict()))
    before, after = (each.of(each.logits, each.labels) for each in (subject, again))
    problem = f"with its state saved and loaded it is {after.item():.6g}, not {before.item():.6g}"
    require(torch.equal(before, after), problem, fix="keep numbers in buffers: register_buffer()")


CHECKS = (
    builds,
    seeds_nothing,
    one_number,
    fractions_of_classes,
    can_be_lowered,
    mean_of_the_batch,
    mixed_classes,
    state,
)


def loss_outcomes(loss: Loss) -> Iterator[CheckOutcome]:
    """Yield what each check of a loss comes to."""
    yield from outcomes(parameters.CHECKS, loss, loss)
    with random_states_kept(torch.device("cpu")):
        yield from outcomes(CHECKS, LossSubject(loss), loss)


def check_loss(loss: Loss) -> None:
    """Check that it is a finite number for labels and for fractions of classes, which a step lowers.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"loss {loss.name}", loss_outcomes(loss))
