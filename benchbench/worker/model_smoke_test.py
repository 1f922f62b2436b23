"""A fresh model tried on images, in eval mode and in training mode, before anything is trained."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchbench.errors import BenchError, ModelError
from benchbench.plugin.failures import check_returned, failure, failures_named, forward_of, line_of
from benchbench.plugin.model import logits_problem
from benchbench.worker.accelerate import is_out_of_memory
from benchbench.worker.failed_layer import failed_layer
from benchbench.worker.seeds import buffers_kept, random_states_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchbench.plugin.model import Model
    from benchbench.worker.accelerate import Acceleration


def smoke_test_model(
    model: nn.Module, images: Tensor, acceleration: Acceleration, *, num_images: int, num_classes: int, plugin: Model
) -> int:
    """Return how many outputs the model has; raise :class:`ModelError` if it cannot be trained on so many images.

    ``images`` is a full batch of those that it will be trained on. Weights, buffers and random generators stay as they
    are.
    """
    tried = _TriedModel(model, images, acceleration, num_classes, plugin)
    num_outputs = tried.check_output(model, images[:2], training=False)
    batch_size = len(images)
    last = num_images % batch_size or batch_size
    try:
        tried.check_training(last)
    except BenchError as error:
        if last == batch_size or not tried.trains(batch_size):
            raise
        better = _size_without_rest(num_images, batch_size, last)
        raise ModelError(
            f"model {plugin.name!r} cannot be trained on the last batch of an epoch, which has"
            f" {last} image{'s' if last > 1 else ''}: {error.message}",
            hint=f"--batch-size {better} leaves more for the last batch" if better else error.hint,
        ) from error
    return num_outputs


@dataclass(frozen=True)
class _TriedModel:
    """A model, and how it is run. ``images`` is a full batch."""

    model: nn.Module
    images: Tensor
    acceleration: Acceleration
    num_classes: int
    plugin: Model

    def trains(self, batch_size: int) -> bool:
        """Tell whether the model can be trained on a batch of this size."""
        try:
            self.check_training(batch_size)
        except BenchError:
            return False
        return True

    def check_training(self, batch_size: int) -> None:
        """Raise :class:`ModelError` if the model cannot be trained on a batch of this size."""
        images = self.images[:batch_size]
        try:
            self.check_output(_copied(self.model), images, training=True)
        except BenchError:
            # Something in the copy may still use the model, such as a hook that is a function.
            self.check_output(self.model, images, training=True)

    def check_output(self, model: nn.Module, images: Tensor, *, training: bool) -> int:
        """Run the model, or a copy of it; return how many outputs it has, or raise an error that names the plugin."""
        mode = "training" if training else "eval"
        action = f"in {mode} mode on a batch of shape {list(images.shape)}"
        with (
            _size_hinted(images),
            failures_named(self.plugin, action, within=failed_layer, unless=is_out_of_memory),
            random_states_kept(self.acceleration.device),
            # Of the model itself: what computes in a copy may be the model, held by a lambda.
            buffers_kept(self.model),
            # As in a step, where a forward pass may ask for gradients.
            torch.set_grad_enabled(training),
            self.acceleration.context(),
        ):
            model.train(training)  # not chained: the train() of some models returns nothing
            logits = model(images)
        return self._check_logits(logits, images, mode=mode)

    def _check_logits(self, logits: object, images: Tensor, *, mode: str) -> int:
        forward = forward_of(self.model)
        if isinstance(logits, tuple | list | dict) and mode == "training":
            kind = type(logits).__name__
            raise ModelError(
                f"model {self.plugin.name!r} returns a {kind} in training mode, not a tensor of logits"
                f"{line_of(forward)}",
                hint="only logits are trained: build the network without auxiliary outputs, or return the first alone",
            )
        output = check_returned(logits, torch.Tensor, plugin=self.plugin, function=forward)
        problem = logits_problem(output.shape, num_images=len(images), num_classes=self.num_classes)
        if problem:
            raise failure(self.plugin, problem, hint="")
        return output.shape[1]


@contextmanager
def _size_hinted(images: Tensor) -> Iterator[None]:
    """Add to an error what to do if the model takes images of another size."""
    try:
        yield
    except BenchError as error:
        shape = f"{images.shape[2]}x{images.shape[3]}"
        size = f"if the model takes no images of {shape}: --set dataset.image_size=SIZE"
        raise type(error)(error.message, hint=f"{size}; {error.hint}") from error.__cause__


def _copied(model: nn.Module) -> nn.Module:
    """Return a copy, or the model itself if it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception:  # noqa: BLE001 - a stranger's model may hold anything
        return model


def _size_without_rest(num_images: int, batch_size: int, last: int) -> int | None:
    """Return the batch size closest to this one that leaves more images for the last batch, if there is one."""
    sizes = [size for size in range(2, num_images + 1) if (num_images % size or size) > last]
    return min(sizes, key=lambda size: abs(size - batch_size), default=None)
