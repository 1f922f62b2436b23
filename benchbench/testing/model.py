"""Checks of a model: the network that ``build`` makes, in both modes, saved, exported and trained."""

from __future__ import annotations

import copy
import math
import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

from benchbench.data.preparation import Classifier, Preparation
from benchbench.plugin.failures import check_returned, failures_named, forward_of
from benchbench.plugin.model import DataSpec, logits_problem
from benchbench.protocol.plugin_check_messages import CheckedImages
from benchbench.testing import parameters
from benchbench.testing.checking import check, outcomes, raise_failures, require
from benchbench.testing.generators import require_unseeded
from benchbench.testing.saved import are_equal, saved_and_loaded
from benchbench.worker.accelerate import Case, Proof, accelerate
from benchbench.worker.model_export import save_model
from benchbench.worker.seeds import random_states_kept, seed_everything

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchbench.plugin.model import Model
    from benchbench.protocol.plugin_check_messages import CheckOutcome


def images_like(images: CheckedImages) -> DataSpec:
    """Return the description of such images in ten classes."""
    return DataSpec(num_channels=images.num_channels, image_size=images.image_size, num_classes=10)


IMAGES = images_like(CheckedImages())
CPU = torch.device("cpu")
BATCH_SIZE = 4
LEARNING_STEPS = 25
LEARNING_RATES = (1e-3, 1e-2, 1e-4)
LEARNED = 0.9
"""A model has learned something if one of these rates brings the loss of one batch below this part of the first."""

_MODES: tuple[Literal["off", "auto"], ...] = ("off", "auto")

BF16_DISTANCE = 0.25
"""How far logits in bf16 may be from those in fp32, by their norm; deep networks reach some percent."""


class ModelSubject:
    """A model, and the images that its network is tried on: float32 ``[4, C, H, W]``.

    If the description of the data has no mean and standard deviation, they are one value for all channels.
    """

    def __init__(self, plugin: Model, data: DataSpec) -> None:
        self.plugin = plugin
        self.data = replace(data, mean=data.mean or (0.5,), std=data.std or (0.5,))
        generator = torch.Generator().manual_seed(0)
        shape = (BATCH_SIZE, data.num_channels, data.image_size, data.image_size)
        self.images = torch.randn(shape, generator=generator)
        self.labels = torch.arange(BATCH_SIZE) % data.num_classes

    def build(self, *, seed: int = 0) -> nn.Module:
        """Return a fresh network; layers that learn their size from the first images have seen some."""
        seed_everything(seed)
        with failures_named(self.plugin, method="build"):
            built = self.plugin.build(self.data)
        network = check_returned(built, nn.Module, plugin=self.plugin, function=self.plugin.build)
        if any(isinstance(weight, nn.UninitializedParameter) for weight in network.parameters()):
            with torch.no_grad():
                network.eval()(self.images)
        return network

    @cached_property
    def network(self) -> nn.Module:
        """A network that no check changes."""
        return self.build()

    @torch.no_grad()
    def evaluate(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits in eval mode."""
        logits: Tensor = network.eval()(images)
        return logits

    def loss(self, network: nn.Module) -> Tensor:
        """Return the training loss of the images."""
        return functional.cross_entropy(network.train()(self.images).float(), self.labels)


@check()
def builds(subject: ModelSubject) -> None:
    """Check that ``build`` returns a module."""
    _ = subject.network


@check(needs=(builds,))
def same_from_one_seed(subject: ModelSubject) -> None:
    """Check that two builds from the same seed are equal, and have no memory in common."""
    one, other = subject.network.state_dict(), subject.build().state_dict()
    fix = "make all layers in build(), and draw weights from torch's global generator"
    require(one.keys() == other.keys(), "two builds have different parameters", fix=fix)
    for name, value in one.items():
        require(are_equal(value, other[name]), f"{name} is not the same in two builds from the same seed", fix=fix)
        is_shared = isinstance(value, torch.Tensor) and value.numel() > 0 and value.data_ptr() == other[name].data_ptr()
        require(not is_shared, f"{name} is one tensor, shared by two builds", fix=fix)


@check(needs=(builds,))
def seeds_nothing(subject: ModelSubject) -> None:
    """Check that ``build`` seeds no global generator: weights and dropout depend on the seed of the trial."""
    require_unseeded(lambda seed: subject.build(seed=seed))


@check(needs=(builds,))
def logits(subject: ModelSubject) -> None:
    """Check that it maps images to finite logits, in eval mode and in training mode."""
    network = subject.build()
    for mode in ("eval", "training"):
        with torch.no_grad():
            output = network.train(mode == "training")(subject.images)
        _check_logits(subject, output, mode)


def _check_logits(subject: ModelSubject, output: object, mode: str) -> None:
    if isinstance(output, tuple | list | dict):
        problem = f"it returns a {type(output).__name__} in {mode} mode, not a tensor of logits"
        require(False, problem, fix="return the logits alone, without auxiliary outputs")
    output = check_returned(output, torch.Tensor, plugin=subject.plugin, function=forward_of(subject.network))
    problem = logits_problem(output.shape, num_images=BATCH_SIZE, num_classes=subject.data.num_classes)
    require(not problem, problem, fix="end with a linear layer of data.num_classes outputs")
    is_finite = bool(output.isfinite().all())
    require(is_finite, f"the output of a fresh network in {mode} mode is not finite", fix="look at its initial weights")
    sums = output.float().sum(dim=1)
    is_softmax = bool((output >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4)
    problem = f"in {mode} mode it returns probabilities, which add up to 1, not logits"
    require(not is_softmax, problem, fix="leave out the softmax at the end: losses contain it")


@check(needs=(logits,))
def any_batch_size(subject: ModelSubject) -> None:
    """Check that batches of one and two images give the same logits as larger ones in eval mode."""
    whole = subject.evaluate(subject.network, subject.images)
    for num_images in (1, 2):
        logits = subject.evaluate(subject.network, subject.images[:num_images])
        images = "one image" if num_images == 1 else f"{num_images} images"
        fix = "keep the first dimension: flatten(1), mean(dim=(2, 3)), and no squeeze() without a dimension"
        has_shape = list(logits.shape) == [num_images, whole.shape[1]]
        require(has_shape, f"the output for {images} is {list(logits.shape)}", fix=fix)
        is_same = torch.allclose(logits, whole[:num_images], rtol=1e-3, atol=1e-4)
        problem = "the output for an image in eval mode depends on the others in its batch"
        require(is_same, problem, fix="compute nothing over dimension 0 if self.training is false")


@check(needs=(logits,))
def eval_mode(subject: ModelSubject) -> None:
    """Check that in eval mode the same images give the same logits, and nothing in the network changes."""
    network = subject.build()
    before = copy.deepcopy(network.state_dict())
    first, again = (subject.evaluate(network, subject.images) for _ in range(2))
    fix = "use nn.Dropout, or functional.dropout(..., training=self.training)"
    require(torch.equal(first, again), "the output in eval mode is not the same twice", fix=fix)
    changed = [name for name, value in network.state_dict().items() if not are_equal(value, before[name])]
    fix = "update buffers only if self.training is true"
    require(not changed, f"eval mode changes {', '.join(changed)}", fix=fix)


@check(needs=(logits,))
def gradients(subject: ModelSubject) -> None:
    """Check that a gradient reaches every parameter that trains."""
    network = subject.build()
    trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    require(bool(trained), "no parameter is trained", fix="requires_grad is false for all of them")
    subject.loss(network).backward()  # type: ignore[no-untyped-call]
    unreached = [name for name, weight in trained.items() if weight.grad is None]
    fix = "use it in forward(), leave it out of the network, or set requires_grad to false; avoid detach() and .data"
    require(not unreached, f"no gradient reaches {', '.join(unreached)}", fix=fix)
    broken = [name for name, weight in trained.items() if weight.grad is not None and not weight.grad.isfinite().all()]
    require(not broken, f"the gradient of {', '.join(broken)} is not finite", fix="look for sqrt, log or division by 0")


@check(needs=(logits,))
def state(subject: ModelSubject) -> None:
    """Check that its state, loaded like a checkpoint into another network, gives the same logits there."""
    network, other = subject.build(), subject.build(seed=1)
    with torch.no_grad():
        network.train()(subject.images)  # running means and the like are part of the state
    other.load_state_dict(saved_and_loaded(network.state_dict()))
    first, again = (subject.evaluate(one, subject.images) for one in (network, other))
    is_same = torch.allclose(first, again, rtol=1e-4, atol=1e-5)
    problem = "with its state saved and loaded, the network gives other logits"
    require(is_same, problem, fix="keep all tensors as nn.Parameter or register_buffer(), not as plain attributes")


@check(needs=(gradients,))
def accelerated(subject: ModelSubject) -> None:
    """Check that it trains alike with and without our faster kernels."""
    plain, fast = (_losses(subject, mode) for mode in _MODES)
    is_same = all(math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4) for one, other in zip(plain, fast, strict=True))
    problem = f"two steps have the losses {_shown(fast)} with acceleration and {_shown(plain)} without"
    fix = (
        "keep nothing in forward() that the next call depends on, but in buffers; users can train with --accelerate off"
    )
    require(is_same, problem, fix=fix)


def _losses(subject: ModelSubject, mode: Literal["auto", "off"]) -> list[float]:
    """Return the losses of two steps."""
    network = subject.build()
    case = Case(network, torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9), BATCH_SIZE)
    acceleration = accelerate(CPU, "fp32", mode=mode).fitted(case)
    acceleration = Proof(case, subject.images, subject.labels, 0).proven(acceleration).applied(case)
    seed_everything(0)
    losses = []
    for _ in range(2):
        case.optimizer.zero_grad()
        with acceleration.context(subject.images):
            loss = subject.loss(network)
        loss.backward()  # type: ignore[no-untyped-call]
        case.optimizer.step()
        losses.append(loss.item())
    return losses


def _shown(losses: list[float]) -> str:
    return " and ".join(f"{loss:.5g}" for loss in losses)


@check(needs=(gradients,))
def bf16(subject: ModelSubject) -> None:
    """Check that it computes nearly the same with --precision bf16, with finite gradients."""
    network = subject.build()
    fix = "let the dtype of inputs decide: tensor.new_zeros(), .to(images.dtype); compute exp and norms in .float()"
    precise = subject.evaluate(network, subject.images).float()
    # Two contexts: one keeps the weights that it converted without gradients, and torch 2.8 trains with those.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = subject.evaluate(network, subject.images).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = subject.loss(network)
    distance = float((rough - precise).norm() / precise.norm().clamp(min=1e-6))
    require(distance <= BF16_DISTANCE, f"logits in bf16 differ from those in fp32 by {distance:.0%}", fix=fix)
    loss.backward()  # type: ignore[no-untyped-call]
    known = [(name, weight.grad) for name, weight in network.named_parameters() if weight.grad is not None]
    broken = [name for name, gradient in known if not gradient.isfinite().all()]
    require(not broken, f"in bf16 the gradient of {', '.join(broken)} is not finite", fix=fix)


@check(needs=(gradients,))
def learns(subject: ModelSubject) -> None:
    """Check that training on a single batch lowers its loss."""
    least = 1.0
    for rate in LEARNING_RATES:
        least = min(least, _relative_loss(subject, rate))
        if least < LEARNED:
            return
    problem = f"training on one batch lowers its loss to no less than {least:.0%} of the first"
    require(False, problem, fix="return logits without softmax, and look at the sizes of initial weights")


def _relative_loss(subject: ModelSubject, rate: float) -> float:
    """Return the mean of the last losses by that of the first ones, as soon as it is low enough."""
    network = subject.build()
    optimizer = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad], lr=rate)
    losses: list[float] = []
    for _ in range(LEARNING_STEPS):
        optimizer.zero_grad()
        loss = subject.loss(network)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        if sum(losses[-3:]) / 3 < LEARNED * losses[0] and len(losses) > 3:  # noqa: PLR2004 - dropout is noisy
            break
    return sum(losses[-3:]) / 3 / max(losses[0], 1e-12)


@check(needs=(logits,))
def exports(subject: ModelSubject) -> None:
    """Check that the trained model can be saved with the run, as a graph that loads without the plugin."""
    names = tuple(str(number) for number in range(subject.data.num_classes))
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        images = subject.images[:2]
        _, channels, height, width = images.shape
        classifier = Classifier(Preparation(width, "pad", (0.5,), (0.5,), (channels, height, width)), names, 1)
        reason = save_model(Path(folder) / "model", subject.network, images, classifier)
    fix = "avoid Python values computed from tensors in forward(), such as .item() or if tensor > 0"
    require(reason is None, f"the trained model cannot be saved: {reason}", fix=fix)


CHECKS = (
    builds,
    same_from_one_seed,
    seeds_nothing,
    logits,
    any_batch_size,
    eval_mode,
    gradients,
    state,
    accelerated,
    bf16,
    learns,
    exports,
)


def model_outcomes(model: Model, data: DataSpec = IMAGES) -> Iterator[CheckOutcome]:
    """Yield what each check of a model comes to."""
    yield from outcomes(parameters.CHECKS, model, model)
    with random_states_kept(CPU):
        yield from outcomes(CHECKS, ModelSubject(model, data), model)


def check_model(model: Model, data: DataSpec = IMAGES) -> None:
    """Check the network that ``build(data)`` makes: both modes, batch sizes, gradients, state, bf16, export.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"model {model.name}", model_outcomes(model, data))
