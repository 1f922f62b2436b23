"""Evaluates the network that a trial ends with, and finds the epoch from which the trial overfits."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from benchbench.data.split_arrays import SPLIT_NAMES
from benchbench.records.events import Final
from benchbench.worker.train import are_undefined, predicted_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.records.events import Epoch
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.train import Evaluation

OVERFIT_MARGIN = 0.05
OVERFIT_EPOCHS = 3
"""How far above its least value the validation loss must stay, and for how long, for a trial to be overfitted."""


def final_of(ready: ReadyTrial, epochs: Sequence[Epoch], evaluations: Mapping[str, Evaluation]) -> Final:
    """Return what the network that a trial ends with achieves on each split."""
    train, val, test = (evaluations[split_name] for split_name in SPLIT_NAMES)
    labels = ready.splits.test.labels
    best = ready.learner.best
    correct = predicted_classes(test.logits) == labels
    top5 = test.logits.topk(min(5, test.logits.shape[1])).indices.masked_fill(are_undefined(test.logits)[:, None], -1)
    return Final(
        train_accuracy=train.accuracy,
        train_loss=train.loss,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_top5_accuracy=float((top5 == labels[:, None]).any(dim=1).double().mean()),
        test_accuracy_per_class={
            name: float(correct[labels == label].double().mean())
            for label, name in enumerate(ready.splits.class_names)
            if (labels == label).any()
        },
        best_val_loss_epoch=min(epochs, key=lambda epoch: epoch.val_loss).epoch,
        overfit_epoch=overfit_epoch(epochs),
        selected_epoch=epochs[-1].epoch if best is None else best.epoch,
    )


def overfit_epoch(epochs: Sequence[Epoch]) -> int | None:
    """Return the epoch from which on a trial overfits, or None.

    It is the first epoch after that of the lowest validation loss from which on the validation loss stays more than
    5 % above the least, to the end and for at least three epochs. The training loss must end below what it was in the
    epoch of the lowest validation loss.
    """
    least = min(epochs, key=lambda epoch: epoch.val_loss)
    above = list(
        takewhile(
            lambda epoch: epoch.epoch > least.epoch and epoch.val_loss > least.val_loss * (1 + OVERFIT_MARGIN),
            reversed(epochs),
        )
    )
    is_overfit = len(above) >= OVERFIT_EPOCHS and epochs[-1].train_loss < least.train_loss
    return above[-1].epoch if is_overfit else None
