"""Checks for the tests of a plugin's author.

::

    from benchbench.testing import check_model
    from my_package import MyModel

    def test_my_model():
        check_model(MyModel())

Each raises AssertionError with a sentence that says what is wrong. The rules for images and for a model's output are
those of a trial.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from benchbench.data.checks import channels_problem, cut_problem, splits_problems
from benchbench.plugin import parameters
from benchbench.plugin.dataset import Splits
from benchbench.plugin.failures import check_returned
from benchbench.plugin.model import DataSpec, logits_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchbench.plugin.base import Plugin
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.model import Model
    from benchbench.plugin.optimizer import Optimizer
    from benchbench.plugin.scheduler import Scheduler

IMAGES = DataSpec(num_channels=3, image_size=64, num_classes=10)
TOY_STEPS = 30
NUM_EPOCHS, STEPS_PER_EPOCH = 4, 3


def check_dataset(dataset: Dataset, root: Path | None = None) -> None:
    """Check what ``load(root)`` returns: types, shapes, labels and names, and that it never changes."""
    _check_config(dataset)
    root = root or Path(dataset.download.file_name if dataset.download else dataset.name)
    splits = check_returned(dataset.load(root), Splits, plugin=dataset, function=dataset.load)
    problems = "; ".join(splits_problems(splits))
    _require(not problems, problems)
    for (name, split), (_, again) in zip(splits.items(), dataset.load(root).items(), strict=True):
        same = torch.equal(split.images, again.images) and torch.equal(split.labels, again.labels)
        _require(same, f"{name} is not the same when loaded again")
    image_shape = tuple(splits.train.images.shape[1:])
    problem = channels_problem(dataset, num_channels=image_shape[0]) or cut_problem(dataset, image_shape)
    _require(not problem, problem)


def check_model(model: Model, data: DataSpec = IMAGES) -> None:
    """Check the network that ``build(data)`` makes: its output, batch sizes, gradients, and that seeds decide it."""
    _check_config(model)
    with torch.random.fork_rng(devices=[]):
        network, twin = _build(model, data), _build(model, data)
        _check_twins(network.state_dict(), twin.state_dict())
        del twin
        images = torch.randn(4, data.num_channels, data.image_size, data.image_size)
        _check_outputs(network, images, data.num_classes)
        _check_gradients(network, images, data.num_classes)


def check_optimizer(optimizer: Optimizer) -> None:
    """Check that steps change the parameters and lower the loss, and that the state can be saved and loaded."""
    _check_config(optimizer)
    with torch.random.fork_rng(devices=[]):
        toy = _Toy()
        steps = optimizer.build(toy.network)
        before = [parameter.clone() for parameter in toy.network.parameters()]
        first_loss = toy.step(steps)
        changed = any(not torch.equal(old, new) for old, new in zip(before, toy.network.parameters(), strict=True))
        _require(changed, "a step changes no parameter")
        for _ in range(TOY_STEPS):
            last_loss = toy.step(steps)
        _require(last_loss < first_loss, f"{TOY_STEPS} steps do not lower the loss: {first_loss} to {last_loss}")
        _check_optimizer_state(optimizer, toy, steps)


def check_scheduler(scheduler: Scheduler) -> None:
    """Check the learning rates of a whole trial, and that a resumed trial has the same."""
    _check_config(scheduler)
    _require(scheduler.step_every in ("epoch", "batch"), f"step_every is {scheduler.step_every!r}")
    num_steps = NUM_EPOCHS * (STEPS_PER_EPOCH if scheduler.step_every == "batch" else 1)
    whole = _Schedule(scheduler)
    rates = [whole.step() for _ in range(num_steps)]
    _require(all(math.isfinite(rate) and rate >= 0 for rate in rates), f"unusable learning rates: {rates}")
    begun, resumed = _Schedule(scheduler), _Schedule(scheduler)
    half = num_steps // 2
    again = [begun.step() for _ in range(half)]
    resumed.load(begun)
    again += [resumed.step() for _ in range(num_steps - half)]
    _require(again == rates, f"resumed after {half} steps, it gives {again} instead of {rates}")


def _require(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - read as a sentence
    if not is_so:
        raise AssertionError(otherwise)


def _check_config(plugin: Plugin) -> None:
    try:
        hash(plugin)
    except TypeError as error:
        raise AssertionError(f"its parameters must be values that never change: {error}") from None
    again = parameters.from_json(type(plugin), plugin.model_dump(mode="json"))
    _require(again == plugin, f"its parameters change when written as JSON and read back: {plugin!r} to {again!r}")


def _build(model: Model, data: DataSpec) -> nn.Module:
    torch.manual_seed(0)
    return check_returned(model.build(data), nn.Module, plugin=model, function=model.build)


def _check_twins(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Check two builds from the same seed: equal, and with no memory in common."""
    _require(one.keys() == other.keys(), "two builds have different parameters")
    for name, tensor in one.items():
        _require(torch.equal(tensor, other[name]), f"{name} is not the same in two builds from the same seed")
        shared = tensor.numel() > 0 and tensor.data_ptr() == other[name].data_ptr()
        _require(not shared, f"{name} is one tensor, shared by two builds")


def _check_outputs(network: nn.Module, images: Tensor, num_classes: int) -> None:
    network.eval()
    with torch.no_grad():
        logits, again = network(images), network(images)
        alone = network(images[:1])
    problem = logits_problem(logits.shape, num_images=len(images), num_classes=num_classes)
    _require(not problem, problem)
    _require(bool(logits.isfinite().all()), "the output of a fresh network is not finite")
    _require(torch.equal(logits, again), "the output in eval mode is not the same twice")
    _require(list(alone.shape) == [1, logits.shape[1]], f"the output for one image is {list(alone.shape)}")
    _require(
        torch.allclose(alone, logits[:1], rtol=1e-3, atol=1e-4),
        "the output for an image in eval mode depends on the others in its batch",
    )


def _check_gradients(network: nn.Module, images: Tensor, num_classes: int) -> None:
    network.train()
    functional.cross_entropy(network(images), torch.arange(len(images)) % num_classes).backward()  # type: ignore[no-untyped-call]
    trained = {name: tensor for name, tensor in network.named_parameters() if tensor.requires_grad}
    _require(bool(trained), "no parameter is trained")
    unreached = [name for name, tensor in trained.items() if tensor.grad is None]
    _require(not unreached, f"no gradient reaches {', '.join(unreached)}")


class _Toy:
    """A small problem that any optimizer makes progress on. It is the same in every detail each time."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
        self.inputs = torch.randn(24, 8)
        self.labels = self.inputs[:, :3].argmax(dim=1)

    def step(self, optimizer: torch.optim.Optimizer) -> float:
        """Take one step and return the loss before it."""
        optimizer.zero_grad()
        loss = functional.cross_entropy(self.network(self.inputs), self.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()


def _check_optimizer_state(optimizer: Optimizer, toy: _Toy, steps: torch.optim.Optimizer) -> None:
    twin = _Toy()
    twin.network.load_state_dict(toy.network.state_dict())
    twin_steps = optimizer.build(twin.network)
    twin_steps.load_state_dict(_saved_and_loaded(steps.state_dict()))
    toy.step(steps)
    twin.step(twin_steps)
    for (name, one), other in zip(toy.network.named_parameters(), twin.network.parameters(), strict=True):
        _require(
            torch.equal(one, other),
            f"with its state saved and loaded, the next step changes {name} otherwise",
        )


class _Schedule:
    """A scheduler with an optimizer of one parameter."""

    def __init__(self, plugin: Scheduler) -> None:
        self._uses_metric = plugin.metric is not None
        weight = nn.Parameter(torch.ones(1))
        weight.grad = torch.ones(1)
        self.optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
        self.scheduler = plugin.build(self.optimizer, num_epochs=NUM_EPOCHS, steps_per_epoch=STEPS_PER_EPOCH)
        self._step: Callable[..., None] = self.scheduler.step

    def step(self) -> float:
        """Take one step, with a metric that never gets better, and return the learning rate after it."""
        self.optimizer.step()
        self._step(1.0) if self._uses_metric else self._step()
        return float(self.optimizer.param_groups[0]["lr"])

    def load(self, other: _Schedule) -> None:
        """Continue from the state of another one."""
        self.optimizer.load_state_dict(_saved_and_loaded(other.optimizer.state_dict()))
        self.scheduler.load_state_dict(_saved_and_loaded(other.scheduler.state_dict()))


def _saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state as a checkpoint gives it back: nothing but tensors, numbers, text and containers."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    try:
        loaded: dict[str, Any] = torch.load(file, weights_only=True)
    except Exception as error:
        raise AssertionError(f"its state cannot be loaded from a checkpoint: {error}") from error
    return loaded
