"""Builds the model of a trial and what trains it, from its plugins."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchbench.errors import counted
from benchbench.plugin.failures import check_returned, failure, failures_named
from benchbench.plugin.model import DataSpec
from benchbench.worker.accelerate import Case, is_out_of_memory
from benchbench.worker.best_weights import BestWeights
from benchbench.worker.model_smoke_test import smoke_test_model
from benchbench.worker.schedule import Schedule, WarmUp, check_step
from benchbench.worker.seeds import random_states_kept
from benchbench.worker.train import Learner
from benchbench.worker.weight_average import WeightAverage, have_means

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchbench.config.spec import Spec
    from benchbench.plugin.loss import Loss as LossPlugin
    from benchbench.plugin.model import Model
    from benchbench.plugin.optimizer import Optimizer as OptimizerPlugin
    from benchbench.plugin.registry import Registry
    from benchbench.plugin.scheduler import Scheduler as SchedulerPlugin
    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.batches import Batches, Window
    from benchbench.worker.torch_settings import TorchSettings

Built = TypeVar("Built")


@dataclass(frozen=True)
class Builder:
    """Builds the model of a trial and what trains it, and restores torch's settings after each plugin.

    ``window`` is where the images of any split may differ.
    """

    spec: Spec
    registry: Registry
    acceleration: Acceleration
    settings: TorchSettings
    train: Batches
    window: Window
    num_classes: int

    def learner(self, prove: Callable[[Acceleration, Case, nn.Module], Acceleration]) -> tuple[Learner, str]:
        """Build everything, and return it with a note on the model, if there is something to say.

        ``prove`` keeps only those levers of an acceleration that compute the same as torch.
        """
        spec = self.spec
        model_plugin = self.registry.create("model", spec.model)
        loss_plugin = self.registry.create("loss", spec.loss)
        optimizer_plugin = self.registry.create("optimizer", spec.optimizer)
        scheduler_plugin = self.registry.create("scheduler", spec.scheduler)
        images, _ = next(self.train.shuffled(seed=spec.seed, epoch=1))
        self.settings.restore(f"augmentation {spec.augmentation.name}")
        model, num_outputs = self._model(model_plugin, images)
        loss = self._loss(loss_plugin, num_outputs)
        clip_norm = optimizer_plugin.clip_norm
        optimizer = self._optimizer(optimizer_plugin, model)
        case = Case(model, optimizer, spec.batch_size, self.window, reads_gradients=clip_norm is not None)
        # From the initial weights even when resuming; the checkpoint is loaded later.
        has_means = have_means(model) if spec.ema_decay is not None else []
        acceleration = prove(self.acceleration.fitted(case), case, loss).applied(case)
        self.settings.restore("a training step")  # what plugins change in every step was named above, but for losses
        schedule = self._schedule(scheduler_plugin, optimizer)
        average = None
        if spec.ema_decay is not None:
            average = WeightAverage(model, spec.ema_decay, has_means=has_means)
            with random_states_kept(acceleration.device), acceleration.context():
                average.check_independence(model, images[:2])
        best = BestWeights() if spec.select == "best_val" else None
        learner = Learner(
            model, optimizer, schedule, acceleration, clip_norm=clip_norm, average=average, best=best, loss=loss
        )
        return learner, self._outputs_note(num_outputs)

    def _outputs_note(self, num_outputs: int) -> str:
        """Return a note on outputs that stand for no class, such as those of ImageNet; empty if there are none."""
        if num_outputs == self.num_classes:
            return ""
        classes = counted(self.num_classes, "class", "classes")
        return f"the model has {num_outputs} outputs for {classes}: a prediction of any other output counts as wrong"

    def _model(self, plugin: Model, images: Tensor) -> tuple[nn.Module, int]:
        """Return the model, which was tried on a batch of training images, and how many outputs it has."""
        data = DataSpec(
            num_channels=images.shape[1],
            image_size=images.shape[2],
            num_classes=self.num_classes,
            mean=self.train.preprocessing.mean,
            std=self.train.preprocessing.std,
        )
        model = _built(plugin, nn.Module, data).to(self.acceleration.device)
        self.settings.restore(f"model {plugin.name}")
        num_outputs = smoke_test_model(
            model,
            images,
            self.acceleration,
            num_images=self.train.num_images,
            num_classes=self.num_classes,
            plugin=plugin,
        )
        self.settings.restore(f"model {plugin.name}")  # which a forward pass may change as well
        return model, num_outputs

    def _loss(self, plugin: LossPlugin, num_outputs: int) -> nn.Module:
        labels = self.train.labels.cpu()
        loss = _built(plugin, nn.Module, labels, num_outputs=num_outputs).to(self.acceleration.device)
        if any(parameter.requires_grad for parameter in loss.parameters()):
            raise failure(plugin, "its module has parameters, which no optimizer trains", hint="a loss keeps buffers")
        self.settings.restore(f"loss {plugin.name}")
        return loss

    def _optimizer(self, plugin: OptimizerPlugin, model: nn.Module) -> Optimizer:
        optimizer = _built(plugin, Optimizer, model)
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            problem = "its step() needs a closure, which the training loop does not give"
            raise failure(plugin, problem, hint="use an optimizer whose step() takes the gradients that are there")
        self.settings.restore(f"optimizer {plugin.name}")
        return optimizer

    def _schedule(self, plugin: SchedulerPlugin, optimizer: Optimizer) -> Schedule:
        steps_per_epoch = len(self.train)
        scheduler = _built(plugin, LRScheduler, optimizer, num_epochs=self.spec.epochs, steps_per_epoch=steps_per_epoch)
        check_step(scheduler, plugin)
        self.settings.restore(f"scheduler {plugin.name}")
        warm_up = WarmUp(round(plugin.warmup_epochs * steps_per_epoch))
        return Schedule(scheduler, plugin.step_every, plugin.metric, warm_up)


def _built(
    plugin: Model | LossPlugin | OptimizerPlugin | SchedulerPlugin,
    expected: type[Built],
    *arguments: object,
    **named: object,
) -> Built:
    """Return what the plugin builds, or raise an error that names the plugin's file and line."""
    with failures_named(plugin, method="build", unless=is_out_of_memory):
        built = plugin.build(*arguments, **named)  # type: ignore[arg-type]
    return check_returned(built, expected, plugin=plugin, function=plugin.build)
