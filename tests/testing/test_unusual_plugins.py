"""Unusual plugins that keep every promise: the checks have nothing to say of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.wrapped_models import model_of
from torch import nn

import benchbench as bb
from benchbench.testing import check_model, check_optimizer
from benchbench.testing.checks_by_kind import fingerprint
from benchbench.testing.model import model_outcomes

SMALL = bb.DataSpec(num_channels=1, image_size=4, num_classes=3)


class Net(nn.Module):
    """A linear network."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(images.flatten(1))


class Unnormalised(bb.Model, name="unnormalised"):
    """Takes back the normalisation of its images."""

    def build(self, data: bb.DataSpec) -> nn.Module:
        return Rescaled(torch.tensor(data.mean), torch.tensor(data.std))


class Rescaled(Net):
    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images * self.std + self.mean)


def test_a_model_may_use_the_mean_and_standard_deviation_of_images() -> None:
    check_model(Unnormalised(), SMALL)


class Counts(Net):
    """Keeps numbers beside its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"steps": 0, "means": [torch.zeros(2)]}

    def get_extra_state(self) -> dict[str, Any]:
        return self.counts

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.counts = state


def test_a_state_may_hold_more_than_tensors() -> None:
    model = model_of(Counts)
    check_model(model, SMALL)
    assert fingerprint(model, images=SMALL) == fingerprint(model_of(Net), images=SMALL)


class Alike(Net):
    """Begins with the same weights whatever the seed, as pretrained networks do, and leaves the generator as it was."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(42)
            super().__init__()


def test_equal_weights_from_every_seed_are_no_fault_if_the_generator_is_put_back() -> None:
    check_model(model_of(Alike), SMALL)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_a_network_in_torchscript_can_do_all_but_be_saved() -> None:
    model = model_of(lambda: torch.jit.script(Net()))
    assert [outcome.check for outcome in model_outcomes(model, SMALL) if outcome.result != "passed"] == ["exports"]


class Langevin(bb.Optimizer, name="langevin"):
    """Adds noise to each step."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        class Noisy(torch.optim.SGD):
            def step(self, closure: Any = None) -> None:
                super().step(closure)
                for group in self.param_groups:
                    for weight in group["params"]:
                        weight.data += 1e-3 * group["lr"] * torch.randn_like(weight)

        return Noisy(model.parameters(), lr=0.1)


def test_an_optimizer_may_draw_from_the_global_generator() -> None:
    check_optimizer(Langevin())
