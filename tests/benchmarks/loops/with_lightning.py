"""The same work as Lightning does it, without its logger, checkpoints and progress bar."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import lightning as L
from plain import Batch, make_loaders, make_model, make_optimizer
from torch.nn import functional as F
from work import WARMUP_STEPS, Work, read_work, report

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class Classifier(L.LightningModule):
    """The network, its loss and its optimizer, which lives on from the warm-up."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.model = make_model(work)
        self.optimizer = make_optimizer(work, self.model)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        loss = F.cross_entropy(self.model(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log loss and correct of a batch."""
        images, labels = batch
        logits = self.model(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_accuracy", (logits.argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer."""
        return self.optimizer


class Stopwatch(L.Callback):
    """Notes when training and validation began and ended."""

    def __init__(self) -> None:
        self.num_images = 0
        self.began = self.trained = self.validated = 0.0

    def on_train_epoch_start(self, *_: object) -> None:
        """Begin."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, _trainer: object, _module: object, _outputs: object, batch: Batch, _: int) -> None:
        """Count images."""
        self.num_images += len(batch[1])

    def on_validation_start(self, *_: object) -> None:
        """Take the time of the training pass."""
        self.trained = time.perf_counter()

    def on_validation_end(self, *_: object) -> None:
        """Take the time of the validation."""
        self.validated = time.perf_counter()


def trainer(work: Work, *, steps: int | None, callbacks: list[L.Callback]) -> L.Trainer:
    """Return what trains for one epoch, or for so many steps of it."""
    return L.Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if work.precision == "bf16" else "32-true",
        max_epochs=1,
        limit_train_batches=steps,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def run(work: Work) -> None:
    """Warm up, train, validate and report."""
    module, (train, val) = Classifier(work), make_loaders(work)
    trainer(work, steps=WARMUP_STEPS, callbacks=[]).fit(module, train)
    watch = Stopwatch()
    trainer(work, steps=work.steps, callbacks=[watch]).fit(module, train, val)
    report(
        train_seconds=watch.trained - watch.began,
        num_images=watch.num_images,
        eval_seconds=watch.validated - watch.trained,
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="lightning")
    asked = read_work()
    L.seed_everything(0, verbose=False)
    run(asked)
