"""Steps of optimizers without the gradients of large weights: the same weights and states as torch's."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from support.gradients import error
from support.steps import CPU, IN_PLACE, WIDTH, in_place, trained, wide, with_a_hook
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchbench.worker.accelerate import Acceleration, linear_products
from benchbench.worker.accelerate.lazy_gradient import FactoredGradient
from benchbench.worker.accelerate.linear_products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _small_layers_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are large in earnest take seconds."""
    monkeypatch.setattr(linear_products, "MIN_WEIGHTS", WIDTH**2)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 0.1},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True},
        {"maximize": True},
    ],
    ids=lambda settings: ", ".join(settings) or "plain",
)
@pytest.mark.parametrize("batch_size", [12, 32])
def test_steps_of_sgd_need_no_gradients_of_large_weights(settings: dict[str, float], batch_size: int) -> None:
    ours, theirs = wide(), wide()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, **settings) for model in (ours, theirs)]
    fitted = trained(ours, optimizers[0], IN_PLACE, batch_size=batch_size)
    trained(theirs, optimizers[1], Acceleration(CPU, "fp32"), batch_size=batch_size)
    assert fitted.facts()["optimizer"] == "in place"
    gradient = ours[0].weight.grad
    assert isinstance(gradient, FactoredGradient)
    assert not gradient.factors.is_computed
    assert error(gradient * 1, theirs[0].weight.grad) < 1e-6, "there it is for whoever looks at it"
    for found, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert error(found, right) < 1e-6
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    assert states[0].keys() == states[1].keys()
    for number, right in states[1].items():
        assert states[0][number].keys() == right.keys()
        for key, value in right.items():
            assert error(states[0][number][key], value) < 1e-6


def test_steps_go_on_from_a_saved_state_and_with_another_learning_rate() -> None:
    whole, parted = wide(), wide()
    sgd = torch.optim.SGD(whole.parameters(), lr=0.1, momentum=0.9)
    trained(whole, sgd, IN_PLACE, steps=2)
    sgd.param_groups[0]["lr"] = 0.01
    kept = copy.deepcopy((whole.state_dict(), sgd.state_dict()))
    trained(whole, sgd, Acceleration(CPU, "fp32"), steps=2)
    again = torch.optim.SGD(parted.parameters(), lr=0.1, momentum=0.9)
    parted.load_state_dict(kept[0])
    trained(parted, again, IN_PLACE, steps=2, late=lambda optimizer: optimizer.load_state_dict(kept[1]))
    for found, right in zip(parted.parameters(), whole.parameters(), strict=True):
        assert error(found, right) < 1e-6


class Offloaded(nn.Module):
    """Saves what the backward pass needs elsewhere, so that it gets other tensors back."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = wide()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept.clone(), lambda kept: kept):
            return self.layers(x)  # type: ignore[no-any-return]


class Checkpointed(nn.Module):
    """Computes its activations again in the backward pass."""

    def __init__(self, *, use_reentrant: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 10)
        self._use_reentrant = use_reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        again = checkpoint(lambda x: self.first(x).tanh(), self.first(x), use_reentrant=self._use_reentrant)
        return self.last(again)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "build",
    [Offloaded, partial(Checkpointed, use_reentrant=False), partial(Checkpointed, use_reentrant=True)],
    ids=["saved elsewhere", "computed again", "computed again, reentrant"],
)
def test_models_that_do_not_keep_their_activations_take_the_same_steps(build: Callable[[], nn.Module]) -> None:
    ours, theirs = build(), build()
    trained(ours, torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9), IN_PLACE)
    trained(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9), Acceleration(CPU, "fp32"))
    for found, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert error(found, right) < 1e-6


def sharing_data() -> nn.Module:
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10))
    model[2].weight.data = model[0].weight.data
    return model


@pytest.mark.parametrize("products", PRODUCTS)
def test_weights_that_share_their_memory_are_stepped_by_torch(products: str) -> None:
    models = []
    for acceleration in (in_place(products), Acceleration(CPU, "fp32")):
        torch.manual_seed(0)
        models.append(sharing_data())
        fitted = trained(models[-1], torch.optim.SGD(models[-1].parameters(), lr=0.1), acceleration)
        assert fitted.facts()["optimizer"] != "in place"
    for found, right in zip(*(model.parameters() for model in models), strict=True):
        assert error(found, right) < 1e-6


@pytest.mark.parametrize("products", PRODUCTS)
def test_a_large_weight_that_no_optimizer_updates_keeps_its_gradient(products: str) -> None:
    models = []
    for acceleration in (in_place(products), Acceleration(CPU, "fp32")):
        models.append(wide())
        trained(models[-1], torch.optim.SGD(models[-1][2].parameters(), lr=0.1), acceleration)
    for found, right in zip(*(model.parameters() for model in models), strict=True):
        assert error(found, right) < 1e-6
    assert type(models[0][0].weight.grad) is torch.Tensor
    assert error(models[0][0].weight.grad, models[1][0].weight.grad) < 1e-6


class Twice(nn.Module):
    """Uses one layer two times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.layer(x).tanh())[:, :10]  # type: ignore[no-any-return]


def watched() -> nn.Module:
    model = wide()
    model[0].weight.register_hook(lambda gradient: 2 * gradient)
    return model


@pytest.mark.parametrize("build", [Twice, watched], ids=["shared", "hooked"])
def test_weights_that_need_a_gradient_get_one(build: Callable[[], nn.Module]) -> None:
    ours, theirs = build(), build()
    trained(ours, torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9), IN_PLACE)
    trained(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9), Acceleration(CPU, "fp32"))
    for found, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert right.grad is not None
        assert found.grad is not None
        assert error(found, right) < 1e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.Adam(weights, lr=0.1),
        lambda weights: with_a_hook(torch.optim.SGD(weights, lr=0.1)),
    ],
    ids=["adam", "hooked"],
)
def test_optimizers_that_need_the_gradient_itself_get_it(make: Callable[..., torch.optim.Optimizer]) -> None:
    model = wide()
    fitted = trained(model, make(model.parameters()), IN_PLACE, steps=1)
    assert fitted.facts()["optimizer"] == "fused"
    assert model[0].weight.grad is not None


class Embedded(nn.Module):
    """Has sparse gradients, and a weight that is no dense block of memory."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.last = nn.Embedding(12, 16, sparse=sparse), nn.Linear(16, 10)
        self.scale = nn.Parameter(torch.ones(16, 2)[:, 0] if not sparse else torch.ones(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.embedding(x.abs()[:, 0].long() % 12) * self.scale)  # type: ignore[no-any-return]


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse gradients", "no block of memory"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weights_and_gradients_that_no_fused_step_takes_are_torchs(momentum: float, *, sparse: bool) -> None:
    models = [Embedded(sparse=sparse), Embedded(sparse=sparse)]
    for model, acceleration in zip(models, (IN_PLACE, Acceleration(CPU, "fp32")), strict=True):
        trained(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum), acceleration)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_of_other_strides_is_not_walked_as_raw_memory() -> None:
    models = [wide(), wide()]
    for model, acceleration in zip(models, (IN_PLACE, Acceleration(CPU, "fp32")), strict=True):
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        trained(model, sgd, acceleration, steps=1)
        for state in sgd.state.values():
            buffer = state["momentum_buffer"]
            state["momentum_buffer"] = buffer.t().contiguous().t() if buffer.ndim > 1 else buffer
        trained(model, sgd, acceleration if acceleration is not IN_PLACE else Acceleration(CPU, "fp32"), steps=2)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < 1e-6


class Late(nn.Module):
    """Has a block that takes part from the third step on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.late, self.last = nn.Linear(WIDTH, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.num_steps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.num_steps += 1
        x = self.first(x).tanh()
        return self.last(self.late(x) if self.num_steps > 2 else x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("dampening", [0.0, 0.5])
def test_the_momentum_of_some_weights_may_begin_later(dampening: float) -> None:
    ours, theirs = Late(), Late()
    optimizers = [
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=dampening, weight_decay=0.1)
        for model in (ours, theirs)
    ]
    assert trained(ours, optimizers[0], IN_PLACE, steps=5).facts()["optimizer"] == "fused"
    trained(theirs, optimizers[1], Acceleration(CPU, "fp32"), steps=5)
    for found, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert error(found, right) < 1e-6


def test_a_state_that_is_no_momentum_begins_none() -> None:
    models = [wide(), wide()]
    for model, acceleration in zip(models, (IN_PLACE, Acceleration(CPU, "fp32")), strict=True):
        sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        frozen = next(model.parameters()).requires_grad_(False)
        sgd.state[frozen]["average"] = frozen.detach().clone()
        trained(model, sgd, acceleration, steps=1)
        frozen.requires_grad_()
        trained(model, sgd, acceleration, steps=1)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < 1e-6
