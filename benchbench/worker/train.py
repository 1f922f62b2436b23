"""The training loop: tensors, a module, an optimizer. It knows no plugins, no files and no MLflow.

Inside the loop over batches nothing is logged, printed, looked up or synchronised, unless an augmentation does so:
losses and numbers of correct images are summed on the device and read once at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.errors import TrialError
from benchbench.records.events import Epoch
from benchbench.worker.batches import padded_to_outputs
from benchbench.worker.finished_steps import FinishedSteps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.batches import Batches
    from benchbench.worker.best_weights import BestWeights
    from benchbench.worker.clock import Clock
    from benchbench.worker.schedule import Schedule
    from benchbench.worker.weight_average import WeightAverage


Loss = Callable[["Tensor", "Tensor"], "Tensor"]
"""What training makes smaller, of logits ``[n, K]`` and labels int64 ``[n]`` or fractions ``[n, K]``: their mean."""


class BatchCounter(Protocol):
    """What a loop calls after every batch, such as the counter that a worker shares with its driver."""

    def restart(self, *, num_trained: int) -> None:
        """Count from here: a trial was resumed after this many training batches."""

    def trained(self) -> None:
        """Count a training batch; raises if the loop should end."""

    def check(self) -> None:
        """Raise if the loop should end; called after every evaluation batch."""


@dataclass(frozen=True)
class Learner:
    """All that changes while a trial trains."""

    model: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    acceleration: Acceleration
    _: KW_ONLY
    clip_norm: float | None = None
    average: WeightAverage | None = None
    best: BestWeights | None = None
    loss: Loss = F.cross_entropy

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated: the moving average of the one that is trained, if there is one."""
        return self.model if self.average is None else self.average.model

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, in the first group of parameters."""
        return float(self.optimizer.param_groups[0]["lr"]) * self.schedule.warm_up.factor

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """What computes the logits of a training batch: the model, or the same compiled."""
        return self.acceleration.forward(self.model)

    @cached_property
    def forward_evaluated(self) -> Callable[[Tensor], Tensor]:
        """What computes the logits of an evaluation batch: the network that is evaluated, or the same compiled."""
        return self.forward if self.average is None else self.acceleration.forward(self.average.model)

    @cached_property
    def untrained(self) -> tuple[nn.Parameter, ...]:
        """The weights that get gradients which the optimizer, as it is at first, neither uses nor drops."""
        trained = {id(weight) for group in self.optimizer.param_groups for weight in group["params"]}
        weights = (weight for weight in self.model.parameters() if weight.requires_grad)
        return tuple(weight for weight in weights if id(weight) not in trained)

    def drop_gradients(self) -> None:
        """Drop all gradients: those of weights that no optimizer updates would add up for ever."""
        self.optimizer.zero_grad()  # to None, by default; the zero_grad() of some optimizers has no parameters
        for weight in self.untrained:
            weight.grad = None

    def step(self) -> None:
        """Update the weights from their gradients."""
        if self.clip_norm is not None:
            weights = (weight for group in self.optimizer.param_groups for weight in group["params"])
            nn.utils.clip_grad_norm_(weights, self.clip_norm)
        with self.schedule.warm_up.step(self.optimizer):
            self.optimizer.step()
        self.schedule.after_step()
        if self.average is not None:
            self.average.update(self.model)


@dataclass(frozen=True)
class TrainPass:
    """A pass over the training images: mean loss and fraction correct, of each batch before its own step.

    Of an image that is mixed from several, the fraction of the predicted class counts as correct.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """A pass over a split in eval mode: mean loss, fraction correct, and logits float32 ``[N, K]`` on the CPU, or none.

    The loss is the plain cross-entropy, whatever is trained on, so that it can be compared between trials.
    """

    loss: float
    accuracy: float
    logits: Tensor


class NonFiniteLossError(TrialError):
    """The training or validation loss became NaN or infinite."""


def fit(
    learner: Learner, train: Batches, val: Batches, *, seed: int, epochs: range, clock: Clock, counter: BatchCounter
) -> Iterator[Epoch]:
    """Train for the given epochs (counted from 1), yielding each with its validation.

    Raises :class:`NonFiniteLossError` after an epoch whose loss is not finite; that epoch is still yielded.
    """
    for epoch_number in epochs:
        learner.schedule.warm_up.go_to((epoch_number - 1) * len(train))
        learning_rate = learner.learning_rate
        train_before, eval_before = clock.seconds("train"), clock.seconds("eval")
        with clock.phase("train"):
            trained = train_epoch(learner, train.shuffled(seed=seed, epoch=epoch_number), counter=counter)
        train_seconds = clock.seconds("train") - train_before
        with clock.phase("eval"):
            validated = evaluate(learner, val, counter=counter)
        if clock.first_epoch_train_seconds == 0:
            clock.first_epoch_train_seconds = train_seconds
        epoch = Epoch(
            epoch=epoch_number,
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            val_loss=validated.loss,
            val_accuracy=validated.accuracy,
            train_seconds=train_seconds,
            eval_seconds=clock.seconds("eval") - eval_before,
            images_per_second=train.num_images / train_seconds if train_seconds else 0.0,
            learning_rate=learning_rate,
        )
        learner.schedule.after_epoch(epoch)
        if learner.best is not None:
            learner.best.consider(epoch, learner.evaluated)
        yield epoch
        _check_finite(epoch)


def train_epoch(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]], *, counter: BatchCounter) -> TrainPass:
    """Take one step for each batch, with dropout on."""
    learner.model.train()
    if learner.average is not None:
        # Some layers merge weights in eval mode. Those of the average are updated as they are in training.
        learner.average.model.train()
    switch_mode(learner.optimizer, "train")
    total_loss = _zero(learner.acceleration.device)
    num_correct = torch.zeros_like(total_loss)
    num_images = 0
    steps = FinishedSteps.on(learner.acceleration.device, counter.trained)
    for images, labels in batches:
        learner.drop_gradients()
        with learner.acceleration.context(images):
            logits = learner.forward(images)
            targets = padded_to_outputs(labels, logits.shape[1])
            num_correct += _num_correct(logits.detach(), targets)  # before the loss, which may change logits in place
            loss = learner.loss(logits.float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
        total_loss += loss.detach() * len(labels)
        num_images += len(labels)
        steps.queued()
    # The evaluation that follows needs the memory: gradients are as large as the weights.
    learner.drop_gradients()
    switch_mode(learner.optimizer, "eval")
    trained = TrainPass(loss=float(total_loss) / num_images, accuracy=float(num_correct) / num_images)
    steps.end()  # reading these numbers has waited for all of them
    return trained


def switch_mode(optimizer: Optimizer, mode: Literal["train", "eval"]) -> None:
    """Change the mode of an optimizer that has modes: schedule-free ones evaluate at other weights than they train.

    A. Defazio et al., "The Road Less Scheduled", NeurIPS 2024.
    """
    switch = getattr(optimizer, mode, None)
    if callable(switch):
        switch()


def _num_correct(logits: Tensor, targets: Tensor) -> Tensor:
    predicted = logits.argmax(dim=1)
    if targets.ndim == 1:
        return (predicted == targets).sum()
    return targets.gather(1, predicted[:, None]).sum()


def predicted_classes(logits: Tensor) -> Tensor:
    """Return the class of the largest logit, int64 ``[N]``, or -1 for an image whose logits give no probabilities."""
    return logits.argmax(dim=1).masked_fill(are_undefined(logits), -1)


def are_undefined(logits: Tensor) -> Tensor:
    """Tell for which images logits give no probabilities, bool ``[N]``: one is no number, or the largest infinite."""
    return ~logits.max(dim=1).values.isfinite()


@torch.no_grad()
def evaluate(learner: Learner, batches: Batches, *, counter: BatchCounter, keeps_logits: bool = False) -> Evaluation:
    """Return loss and accuracy in eval mode over images in their stored order, without augmentation.

    Logits are kept only if that is asked for: those of a million images and 1,000 classes take 4 GB.
    """
    total_loss = _zero(learner.acceleration.device)
    num_correct = torch.zeros_like(total_loss)
    kept = []
    for logits, labels in _logits(learner, batches, counter):
        total_loss += F.cross_entropy(logits, labels, reduction="sum")
        num_correct += (predicted_classes(logits) == labels).sum()
        if keeps_logits:
            kept.append(logits.cpu())  # two copies of all of them may not fit on the device
    num_images = batches.num_images
    all_logits = torch.cat(kept) if kept else torch.empty(0)
    return Evaluation(float(total_loss) / num_images, round(float(num_correct)) / num_images, all_logits)


def _logits(learner: Learner, batches: Batches, counter: BatchCounter) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the logits of each batch in eval mode, float32 on the device, and its labels."""
    # Some models keep for eval mode what follows from their weights, and forget it only when they are trained.
    learner.evaluated.train()
    learner.evaluated.eval()
    for images, labels in batches.in_order():
        with learner.acceleration.context(images):
            # A copy: what is compiled for a GPU writes each batch's logits to the same memory.
            logits = learner.forward_evaluated(images).to(torch.float32, copy=True)
        yield logits, labels
        counter.check()


def _zero(device: torch.device) -> Tensor:
    """Return a sum to begin with. MPS has no float64; float32 sums of some thousand batches are good to six digits."""
    return torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def _check_finite(epoch: Epoch) -> None:
    for name in ("train_loss", "val_loss"):
        value = getattr(epoch, name)
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"{name.replace('_', ' ')} became {value} in epoch {epoch.epoch}",
                hint="a lower learning rate often helps, such as --lr with a tenth of the value",
            )
