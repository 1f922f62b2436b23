"""The loop that people write by hand: ImageFolder, DataLoader, a module, an optimizer, the loss read at every step."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from work import LEARNING_RATE, MEAN, MOMENTUM, NUM_CLASSES, STD, WARMUP_STEPS, Work, read_work, report

if TYPE_CHECKING:
    from collections.abc import Iterable

Batch = tuple[Tensor, Tensor]


def alexnet() -> nn.Module:
    """Return AlexNet without normalisation layers, with an output for each class."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
        *(nn.AdaptiveAvgPool2d(6), nn.Flatten()),
        *(nn.Dropout(0.5), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(inplace=True)),
        *(nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
        nn.Linear(4096, NUM_CLASSES),
    )


def make_model(work: Work) -> nn.Module:
    """Return a fresh network."""
    if work.model == "alexnet":
        return alexnet()
    import timm

    model: nn.Module = timm.create_model(work.model, num_classes=NUM_CLASSES)
    return model


def make_optimizer(work: Work, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer with what torch takes by default for everything that makes it faster."""
    if work.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    return torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)


def autocast(work: Work) -> AbstractContextManager[object]:
    """Return the context of the forward pass."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if work.precision == "bf16" else nullcontext()


def make_loaders(work: Work) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
    """Return the training images, shuffled and flipped, and those for validation."""
    to_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    crop = transforms.CenterCrop(work.image_size)
    flip = transforms.RandomHorizontalFlip()
    train = ImageFolder(work.folder / "train", transforms.Compose([crop, flip, *to_tensor]))
    val = ImageFolder(work.folder / "val", transforms.Compose([crop, *to_tensor]))
    return (
        DataLoader(train, batch_size=work.batch_size, shuffle=True, num_workers=0),
        DataLoader(val, batch_size=work.batch_size, num_workers=0),
    )


def train_pass(work: Work, model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Batch]) -> int:
    """Take a step for each batch and return the number of images."""
    model.train()
    num_images, total_loss = 0, 0.0
    for images, labels in batches:
        optimizer.zero_grad()
        with autocast(work):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(labels)
        num_images += len(labels)
    return num_images


@torch.no_grad()
def evaluate(work: Work, model: nn.Module, batches: Iterable[Batch]) -> tuple[float, float]:
    """Return mean loss and accuracy."""
    model.eval()
    num_images, num_correct, total_loss = 0, 0, 0.0
    for images, labels in batches:
        with autocast(work):
            logits = model(images)
        total_loss += F.cross_entropy(logits, labels).item() * len(labels)
        num_correct += int((logits.argmax(dim=1) == labels).sum())
        num_images += len(labels)
    return total_loss / num_images, num_correct / num_images


def run(work: Work, train: Iterable[Batch], val: Iterable[Batch]) -> None:
    """Warm up, train, validate and report."""
    model = make_model(work)
    optimizer = make_optimizer(work, model)
    train_pass(work, model, optimizer, islice(train, WARMUP_STEPS))
    began = time.perf_counter()
    num_images = train_pass(work, model, optimizer, islice(train, work.steps))
    trained = time.perf_counter()
    evaluate(work, model, val)
    report(train_seconds=trained - began, num_images=num_images, eval_seconds=time.perf_counter() - trained)


if __name__ == "__main__":
    asked = read_work()
    torch.manual_seed(0)
    run(asked, *make_loaders(asked))
