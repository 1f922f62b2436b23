"""Models that misbehave on purpose, each in one way."""

import os
import signal

import numpy as np
import torch
from torch import nn

import benchbench as bb
from benchbench.protocol import channel


class Linear(nn.Module):
    """One layer that counts its training steps and misbehaves in the one called ``at``."""

    def __init__(self, data: bb.DataSpec, *, at: int, num_outputs: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(data.num_inputs, num_outputs or data.num_classes)
        self.at = at
        self.steps = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        logits = self.layer(images.flatten(1))
        return self.misbehave(logits) if self.training and self.steps >= self.at else logits

    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


class Raises(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"no {len(logits)} images please, says https://ann:secret@example.org")


class NotANumber(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * float("nan")


class Greedy(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        return logits + torch.ones(2**48).sum()


class GreedyInEval(Linear):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # The first pass in eval mode is the one that tries the model.
        self.passes = getattr(self, "passes", 0) + (not self.training)
        logits = super().forward(images)
        return logits if self.training or self.passes == 1 else logits + torch.ones(2**48).sum()


class NumpyState(Linear):
    """Keeps a number of numpy's in its state, which torch does not read back."""

    def get_extra_state(self) -> object:
        return np.float32(1)

    def set_extra_state(self, state: object) -> None:
        pass


class Dies(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return logits


class Garbles(Linear):
    """Damages what the worker answers, and would train on."""

    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        for each in channel._channels:
            each._connection.sendall(b"no message\n")
        return logits


class LosesGpu(Linear):
    """As after an illegal access to a GPU's memory: every call that waits for the GPU raises."""

    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        def refuse(*_: object) -> None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        torch.cuda.is_initialized = lambda: True
        torch.cuda.synchronize = refuse
        refuse()
        return logits


class Talks(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        print('{"say": "done"} is what a plugin may well print')
        return logits


class Meddles(Linear):
    def misbehave(self, logits: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(0)
        return logits


class Unruly(bb.Model, name="unruly"):
    """A linear model with a vice."""

    vice: str = bb.param("raises", "what it does")
    at: int = bb.param(3, "the training step in which it does it")

    def build(self, data: bb.DataSpec) -> nn.Module:
        if self.vice == "build":
            raise ValueError("this cannot be built")
        if self.vice == "narrow":
            return Linear(data, at=self.at, num_outputs=data.num_classes - 1)
        if self.vice == "switches":
            network = Linear(data, at=self.at)
            torch.set_num_threads(1)
            torch.set_default_dtype(torch.float64)
            return network
        kinds = {
            "raises": Raises,
            "nan": NotANumber,
            "greedy": Greedy,
            "greedy_in_eval": GreedyInEval,
            "numpy": NumpyState,
            "dies": Dies,
            "garbles": Garbles,
            "loses_gpu": LosesGpu,
            "talks": Talks,
            "meddles": Meddles,
        }
        return kinds[self.vice](data, at=self.at)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Unruly]
