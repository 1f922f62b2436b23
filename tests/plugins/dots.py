"""A dataset and a model that do next to nothing, so that what is around them shows; the model fails on demand."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

import benchbench as bb


class Dots(bb.Dataset, name="dots"):
    """Eighty dark images with a bright dot, left or right, as bright as the file at the root says, if any."""

    image_size: int = bb.param(8, "pixels")

    def load(self, root: Path) -> bb.Splits:
        brightness = int(root.read_text(encoding="utf-8")) if root.exists() else 255
        chance = torch.Generator().manual_seed(0)
        train, val, test = (split(number, brightness, chance) for number in (40, 20, 20))
        return bb.Splits(train=train, val=val, test=test, class_names=("left", "right"))


def split(number: int, brightness: int, chance: torch.Generator) -> bb.Split:
    images = torch.randint(0, 100, (number, 1, 8, 8), dtype=torch.uint8, generator=chance)
    labels = torch.arange(number) % 2
    images[torch.arange(number), 0, 4, labels * 4 + 2] = brightness
    return bb.Split(images, labels)


class Linear(nn.Module):
    def __init__(self, data: bb.DataSpec, *, pause: float, trap: str, fails: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(data.num_inputs, data.num_classes)
        self.pause, self.trap, self.fails = pause, Path(trap), fails
        self.first_weight = self.layer.weight.detach().clone()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.misbehave()
        return self.layer(images.flatten(1))

    def misbehave(self) -> None:
        if self.pause:
            time.sleep(self.pause)
        if self.fails and not torch.equal(self.layer.weight, self.first_weight):
            raise ValueError("this one fails")
        if self.trap.is_file():
            self.trap.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class Line(bb.Model, name="line"):
    """One linear layer."""

    pause: float = bb.param(0.0, "seconds that each training step waits")
    trap: str = bb.param(".", "the process that first trains while this file is there dies, and the file goes")
    fails: bool = bb.param(False, "whether the second training step raises")

    def build(self, data: bb.DataSpec) -> nn.Module:
        return Linear(data, pause=self.pause, trap=self.trap, fails=self.fails)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    return [Dots]


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Line]
