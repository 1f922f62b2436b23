"""An optimizer that says when it has stepped for the first time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import benchbench as bb


class Stepped(bb.Optimizer, name="stepped"):
    """SGD that makes a file once it has stepped."""

    mark: str = bb.param("stepped", "the file that it makes")

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
        optimizer.register_step_post_hook(lambda *_: Path(self.mark).touch())
        return optimizer


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    return [Stepped]
