"""Learners and batches of small images."""

import torch
from benchbench_plugins.constant import Constant
from benchbench_plugins.flip import Flip
from torch import nn

import benchbench as bb
from benchbench.plugin.augmentation import ImageSpec
from benchbench.worker.accelerate import Acceleration, Case, accelerate
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing, Window
from benchbench.worker.schedule import Schedule
from benchbench.worker.splits import TensorSplit
from benchbench.worker.train import Learner

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing(63, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BATCH_SIZE = 4
FLIPS = Augmenter.of((Flip(),), ImageSpec(3, 63, 63, num_classes=10, mean=PREPROCESSING.mean))


def make_images(count: int, *, num_classes: int = 10, size: int = 63) -> TensorSplit:
    generator = torch.Generator().manual_seed(7)
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return TensorSplit(images, torch.randint(num_classes, (count,), generator=generator))


def learner(
    model: nn.Module,
    optimizer: bb.Optimizer,
    scheduler: bb.Scheduler | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    window: Window | None = None,
    acceleration: Acceleration | None = None,
) -> Learner:
    made = optimizer.build(model)
    rule = scheduler or Constant()
    schedule = Schedule(rule.build(made, num_epochs=2, steps_per_epoch=3), rule.step_every, rule.metric)
    acceleration = acceleration or accelerate(CPU, "fp32")
    case = Case(model, made, batch_size, window)
    return Learner(model, made, schedule, acceleration.fitted(case).applied(case))


def batches(
    split: TensorSplit,
    preprocessing: Preprocessing = PREPROCESSING,
    *,
    batch_size: int = BATCH_SIZE,
    augmenter: Augmenter = FLIPS,
) -> Batches:
    memory_format = accelerate(CPU, "fp32").memory_format
    return Batches(
        split, preprocessing, batch_size=batch_size, device=CPU, augmenter=augmenter, memory_format=memory_format
    )
