"""Finds the checks for a kind of plugin, and how to tell whether a plugin was rebuilt the same elsewhere.

The checks themselves are in the module of the kind.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from benchbench.testing.augmentation import AugmentationSubject, augmentation_outcomes
from benchbench.testing.dataset import dataset_outcomes, default_root, loaded_digest
from benchbench.testing.loss import LossSubject, loss_outcomes
from benchbench.testing.model import IMAGES, ModelSubject, model_outcomes
from benchbench.testing.optimizer import Toy, optimizer_outcomes
from benchbench.testing.scheduler import Schedule, scheduler_outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import Tensor

    from benchbench.plugin.model import DataSpec
    from benchbench.protocol.plugin_check_messages import CheckOutcome

_OUTCOMES: dict[str, Callable[[Any], Iterator[CheckOutcome]]] = {
    "augmentation": augmentation_outcomes,
    "loss": loss_outcomes,
    "optimizer": optimizer_outcomes,
    "scheduler": scheduler_outcomes,
}


def plugin_outcomes(plugin: Any, root: Path | None = None, images: DataSpec = IMAGES) -> Iterator[CheckOutcome]:
    """Yield what each check of a plugin of any kind comes to; ``root`` is for datasets, ``images`` for models."""
    if plugin.kind == "dataset":
        yield from dataset_outcomes(plugin, root)
    elif plugin.kind == "model":
        yield from model_outcomes(plugin, images)
    else:
        yield from _OUTCOMES[plugin.kind](plugin)


def fingerprint(plugin: Any, root: Path | None = None, images: DataSpec = IMAGES) -> str:
    """Return what the plugin builds or loads from the same seed, shortened to a digest."""
    if plugin.kind == "dataset":
        return loaded_digest(plugin, root or default_root(plugin))
    if plugin.kind == "model":
        state = ModelSubject(plugin, images).build().state_dict()
        return _of_tensors(value for value in state.values() if isinstance(value, torch.Tensor))
    return _FINGERPRINTS.get(plugin.kind, repr)(plugin)


def _of_augmentation(plugin: Any) -> str:
    return _of_tensors(AugmentationSubject(plugin).augmented)


def _of_loss(plugin: Any) -> str:
    subject = LossSubject(plugin)
    return _of_tensors(subject.of(subject.logits, targets) for targets in (subject.labels, subject.fractions))


def _of_optimizer(plugin: Any) -> str:
    toy = Toy(plugin)
    toy.step()
    toy.step()
    return _of_tensors(toy.network.state_dict().values())


def _of_scheduler(plugin: Any) -> str:
    schedule = Schedule(plugin)
    return str(schedule.steps(schedule.num_steps))


def _of_tensors(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        # As bytes, since numpy knows no bfloat16.
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


_FINGERPRINTS: dict[str, Callable[[Any], str]] = {
    "augmentation": _of_augmentation,
    "loss": _of_loss,
    "optimizer": _of_optimizer,
    "scheduler": _of_scheduler,
}
