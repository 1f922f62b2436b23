"""Checks that a plugin keeps its promises, for the tests of its author.

::

    from benchbench.testing import check_model
    from my_package import MyModel

    def test_my_model():
        check_model(MyModel())

Each raises AssertionError with a sentence that says what is wrong.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from benchbench.plugin import parameters
from benchbench.plugin.base import DataSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchbench.plugin.base import Dataset, Model, Optimizer, Plugin, Scheduler, Split

IMAGES = DataSpec(num_channels=3, image_size=64, num_classes=10)
TOY_STEPS = 30
NUM_EPOCHS, STEPS_PER_EPOCH = 4, 3


def check_dataset(dataset: Dataset, root: Path | None = None) -> None:
    """Check what ``load(root)`` returns: types, shapes, labels, names, and that it is the same every time."""
    _check_config(dataset)
    root = root or Path(dataset.download.file_name if dataset.download else dataset.name)
    splits, again = dataset.load(root), dataset.load(root)
    names = splits.class_names
    _require(len(names) > 0, "there are no class names")
    _require(len(set(names)) == len(names), f"class names are not unique: {names}")
    for (name, split), (_, split_again) in zip(splits.items(), again.items(), strict=True):
        _check_split(name, split, num_classes=len(names))
        same = torch.equal(split.images, split_again.images) and torch.equal(split.labels, split_again.labels)
        _require(same, f"{name} is not the same when loaded again")
    channels = {name: split.images.shape[1] for name, split in splits.items()}
    _require(len(set(channels.values())) == 1, f"images differ in their number of channels: {channels}")
    num_channels = channels["train"]
    for field in ("mean", "std"):
        count = len(getattr(dataset, field))
        _require(count in (1, num_channels), f"{field} has {count} numbers for {num_channels} channels")


def check_model(model: Model, data: DataSpec = IMAGES) -> None:
    """Check the network that ``build(data)`` makes: output, batch sizes, gradients, and what seeds decide."""
    _check_config(model)
    with torch.random.fork_rng(devices=[]):
        network, twin = _build(model, data), _build(model, data)
        _check_twins(network.state_dict(), twin.state_dict())
        del twin
        images = torch.randn(4, data.num_channels, data.image_size, data.image_size)
        _check_outputs(network, images, data.num_classes)
        _check_gradients(network, images, data.num_classes)


def check_optimizer(optimizer: Optimizer) -> None:
    """Check that steps change the parameters and lower a loss, and that the state survives being saved."""
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
    """Check the learning rates of a whole trial, and that they are the same when it is resumed."""
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


def _check_split(name: str, split: Split, *, num_classes: int) -> None:
    images, labels = split.images, split.labels
    _require(images.dtype == torch.uint8, f"{name} images must be uint8, not {images.dtype}")
    _require(images.ndim == 4, f"{name} images must be [N, C, H, W], not {list(images.shape)}")  # noqa: PLR2004
    _require(labels.dtype == torch.int64, f"{name} labels must be int64, not {labels.dtype}")
    _require(labels.ndim == 1, f"{name} labels must be [N], not {list(labels.shape)}")
    _require(len(images) == len(labels), f"{name} has {len(images)} images and {len(labels)} labels")
    _require(len(images) > 0, f"{name} has no images")
    low, high = int(labels.min()), int(labels.max())
    _require(
        low >= 0 and high < num_classes,
        f"{name} labels go from {low} to {high}, with {num_classes} class names",
    )
    num_names = len(split.names)
    _require(num_names in (0, len(images)), f"{name} has {len(images)} images and {num_names} names")


def _build(model: Model, data: DataSpec) -> nn.Module:
    torch.manual_seed(0)
    return model.build(data)


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
    _require(logits.ndim == 2, f"the output must be [N, K], not {list(logits.shape)}")  # noqa: PLR2004
    _require(len(logits) == len(images), f"the output has {len(logits)} rows for {len(images)} images")
    _require(logits.shape[1] >= num_classes, f"the output has {logits.shape[1]} columns for {num_classes} classes")
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
    """A small problem that any optimizer makes progress on, the same in every detail each time."""

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
    """A scheduler at work on an optimizer of one parameter."""

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
        """Go on from where the other one is."""
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
