"""One trial from start to end, as a stream of events."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench import artifacts
from benchbench.accelerate import accelerate, choose_device
from benchbench.clocks import Clock
from benchbench.errors import BenchError
from benchbench.prepare import memory_errors_named, prepare
from benchbench.pulse import StoppedError
from benchbench.record import Epoch, EpochFinished, Error, Failed, Final, Finished
from benchbench.system import SystemSampler
from benchbench.train import Pulse, evaluate, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from benchbench.order import TrialOrder
    from benchbench.prepare import Prepared
    from benchbench.record import Event
    from benchbench.registry import Registry

OVERFIT_MARGIN = 0.05
"""How far above its least value the validation loss must stay for a trial to count as overfitted."""


def run_trial(
    order: TrialOrder, registry: Registry, *, pulse: Pulse, on_stage: Callable[[str], None] = lambda _: None
) -> Iterator[Event]:
    """Yield the events of one trial: started, each epoch, and finished or failed.

    Raises a :class:`~benchbench.errors.BenchError` before the first event where the trial cannot be started;
    after it, whatever happens is the last event.
    """
    with memory_errors_named():
        acceleration = accelerate(choose_device(order.device), order.spec.precision)
        clock = Clock(acceleration.synchronize())
        with clock.phase("load"):
            prepared = prepare(order, registry, acceleration, on_stage=on_stage)
    yield prepared.started
    try:
        with memory_errors_named():
            yield from _train(order, prepared, clock=clock, pulse=pulse, on_stage=on_stage)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the trial ends, the worker does not
        yield Failed(
            status="killed" if isinstance(error, StoppedError) else "failed",
            error=_describe(error),
            times=clock.times(),
        )


def overfit_epoch(epochs: Sequence[Epoch]) -> int | None:
    """Return the epoch from which on a trial overfits, or None.

    It is the first epoch after that of least validation loss, from which on to the end the validation loss stays
    more than 5 % above the least, while the training loss ends below what it was at the least.
    """
    least = min(epochs, key=lambda epoch: epoch.val_loss)
    found = None
    for epoch in reversed(epochs):
        if epoch.epoch <= least.epoch or epoch.val_loss <= least.val_loss * (1 + OVERFIT_MARGIN):
            break
        found = epoch.epoch
    return found if epochs[-1].train_loss < least.train_loss else None


def _train(
    order: TrialOrder, prepared: Prepared, *, clock: Clock, pulse: Pulse, on_stage: Callable[[str], None]
) -> Iterator[Event]:
    epochs: list[Epoch] = []
    on_stage("training")
    with SystemSampler(prepared.learner.acceleration.device) as sampler:
        for epoch in fit(
            prepared.learner,
            prepared.train,
            prepared.val,
            seed=order.spec.seed,
            epochs=range(1, order.spec.epochs + 1),
            clock=clock,
            pulse=pulse,
        ):
            epochs.append(epoch)
            yield EpochFinished(epoch=epoch, system=sampler.means())
    on_stage("evaluating on train, val and test")
    with clock.phase("eval"):
        final, test_logits = _final(prepared, epochs, pulse)
    notes: tuple[str, ...] = ()
    if order.artifacts != "none":
        on_stage("writing artifacts")
        notes = _stage_artifacts(order, prepared, test_logits)
    yield Finished(final=final, times=clock.times(), notes=notes)


def _final(prepared: Prepared, epochs: Sequence[Epoch], pulse: Pulse) -> tuple[Final, Tensor]:
    """Return the accuracies of the trained model, and its logits ``[N, K]`` on the test pictures."""
    learner = prepared.learner
    train = evaluate(learner, prepared.train, pulse=pulse)
    val = evaluate(learner, prepared.val, pulse=pulse)
    test = evaluate(learner, prepared.test, pulse=pulse)
    labels = prepared.splits.test.labels
    hits = test.logits.argmax(dim=1) == labels
    top5 = test.logits.topk(min(5, test.logits.shape[1])).indices
    final = Final(
        train_accuracy=train.accuracy,
        train_loss=train.loss,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        test_top5_accuracy=float((top5 == labels[:, None]).any(dim=1).double().mean()),
        test_accuracy_per_label={
            name: float(hits[labels == number].double().mean())
            for number, name in enumerate(prepared.splits.class_names)
            if (labels == number).any()
        },
        best_val_loss_epoch=min(epochs, key=lambda epoch: epoch.val_loss).epoch,
        overfit_epoch=overfit_epoch(epochs),
    )
    return final, test.logits


def _stage_artifacts(order: TrialOrder, prepared: Prepared, test_logits: Tensor) -> tuple[str, ...]:
    """Write what the run keeps; return notes on what could not be kept."""
    folder = Path(order.artifacts_folder)
    predictions = artifacts.Predictions(F.softmax(test_logits, dim=1), prepared.splits.test.labels)
    artifacts.stage(folder, predictions=predictions, splits=prepared.splits, level=order.artifacts)
    if order.artifacts != "full":
        return ()
    images, _ = next(prepared.test.in_order())
    problem = artifacts.save_model(
        folder / "model", prepared.learner.model, images[:2].cpu(), prepared.splits.class_names
    )
    return (f"the model was not saved: {problem}",) if problem else ()


def _describe(error: Exception) -> Error:
    if isinstance(error, BenchError):
        return Error(**error.to_json())
    text = f"{type(error).__name__}: {error}"
    return Error(kind=type(error).__name__, message=text, traceback=traceback.format_exc())
