"""One deliberately wrong model for each check of models, which that check catches."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.check_outcomes import caught
from support.wrapped_models import model_of
from torch import nn
from torch.nn import functional as F

import benchbench as bb
from benchbench.testing.model import CHECKS, model_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.protocol.plugin_check_messages import CheckOutcome

SMALL = bb.DataSpec(num_channels=1, image_size=4, num_classes=3)
COUNT = itertools.count()


class Net(nn.Module):
    """A linear layer and one that halves the logits."""

    def __init__(self, num_outputs: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(16, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.change(self.linear(images.flatten(1)))

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


class Narrow(Net):
    def __init__(self) -> None:
        super().__init__(2)


class Forgets(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:  # type: ignore[return]
        self.linear(images.flatten(1))


class Auxiliary(Net):
    def change(self, logits: torch.Tensor) -> Any:
        return (logits, logits) if self.training else logits


class Unseeded(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.linear.weight, next(COUNT))


class Seeded(Net):
    def __init__(self) -> None:
        torch.manual_seed(42)
        super().__init__()


class Squeezed(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.squeeze()


class Noisy(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return F.dropout(logits)


class Counts(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return logits


class CountsOutside(Net):
    """Keeps its count beside its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"calls": 0, "means": [torch.zeros(2)]}

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        self.counts["calls"] += 1
        return logits

    def get_extra_state(self) -> dict[str, Any]:
        return self.counts

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.counts = state


class Detached(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * self.scale.detach()


class Hidden(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = [torch.rand(3)]

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * self.scale[0]


class Remembers(Net):
    calls = 0

    def change(self, logits: torch.Tensor) -> torch.Tensor:
        if self.training and torch.is_grad_enabled():
            Remembers.calls += 1
            return logits * (1 + Remembers.calls)
        return logits


class SinglePrecision(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        index = torch.arange(3).expand(len(logits), 3)
        return torch.zeros(len(logits), 3).scatter(1, index, logits)


class Saturated(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return torch.softmax(logits, dim=1) * 1e-6


class Probabilities(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return torch.softmax(logits, dim=1)


class Branches(Net):
    def change(self, logits: torch.Tensor) -> torch.Tensor:
        return logits * 2 if logits.sum().item() > 0 else logits * 2.0


WRONG_MODELS = [
    (lambda: None, "builds", "build() returns nothing; is a return statement missing?"),
    (Unseeded, "same from one seed", "linear.weight is not the same in two builds from the same seed"),
    (Seeded, "seeds nothing", "build() seeds the global generator of torch: trials of all seeds get the same numbers"),
    (Narrow, "logits", "has the shape [4, 2]; it must be [4, 3], or wider"),
    (Forgets, "logits", "forward() returns nothing; is a return statement missing?"),
    (Auxiliary, "logits", "it returns a tuple in training mode, not a tensor of logits"),
    (Probabilities, "logits", "in eval mode it returns probabilities, which add up to 1, not logits"),
    (Squeezed, "any batch size", "the output for one image is [3]"),
    (Noisy, "eval mode", "the output in eval mode is not the same twice"),
    (Counts, "eval mode", "eval mode changes calls"),
    (CountsOutside, "eval mode", "eval mode changes _extra_state"),
    (Detached, "gradients", "no gradient reaches scale"),
    (Hidden, "state", "with its state saved and loaded, the network gives other logits"),
    (Remembers, "accelerated", "two steps have the losses"),
    (SinglePrecision, "bf16", "scatter()"),
    (Saturated, "learns", "training on one batch lowers its loss to no less than 100% of the first"),
    (Branches, "exports", "the trained model cannot be saved"),
]


@pytest.mark.parametrize(("make", "check", "problem"), WRONG_MODELS)
def test_a_wrong_model_is_caught(make: Any, check: str, problem: str) -> None:
    outcomes: Iterator[CheckOutcome] = model_outcomes(model_of(make), SMALL)
    if make is Noisy:  # an image alone drops other numbers, which is caught as well
        outcomes = (outcome for outcome in outcomes if outcome.check != "any batch size")
    assert problem in caught(outcomes, check).problem


def test_the_layer_is_named_where_no_line_of_the_authors_is_to_blame() -> None:
    model = model_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(15, 3)))
    outcome = caught(model_outcomes(model, SMALL), "logits")
    assert outcome.problem.endswith(" in layer '1', Linear(in_features=15, out_features=3, bias=True)")
    assert outcome.fix == "see that layer"


def test_every_check_has_a_wrong_model() -> None:
    assert {check.name for check in CHECKS} == {name for _, name, _ in WRONG_MODELS}
