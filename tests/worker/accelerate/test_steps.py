"""Steps of optimizers without the gradients of large weights: the same weights and states as torch's."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.gradients import error
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.checkpoint import checkpoint

from benchbench.worker.accelerate import Acceleration, Case, products
from benchbench.worker.accelerate.in_place import StepsInPlace
from benchbench.worker.accelerate.lazy_gradient import FactoredGradient
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.optimizers import FusedSteps

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.config.spec import Precision

CPU = torch.device("cpu")
WIDTH = 64


@pytest.fixture(autouse=True)
def _small_layers_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are large in earnest take seconds."""
    monkeypatch.setattr(products, "MIN_WEIGHTS", WIDTH**2)


def wide(num_inputs: int = WIDTH) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(num_inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 10))


def trained(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    acceleration: Acceleration,
    *,
    steps: int = 4,
    batch_size: int = 12,
    late: Callable[[torch.optim.Optimizer], None] = lambda _: None,
) -> Acceleration:
    """Take some steps of so many vectors each, and return how they were computed.

    ``late`` is what somebody does to the optimizer after that was decided.
    """
    case = Case(model, optimizer, batch_size)
    fitted = acceleration.fitted(case).applied(case)
    late(optimizer)
    chance = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(batch_size, WIDTH, generator=chance)
        optimizer.zero_grad()
        with fitted.context(x):
            loss = F.cross_entropy(model(x), torch.arange(batch_size) % 10)
        loss.backward()
        optimizer.step()
    return fitted


IN_PLACE = Acceleration(CPU, "fp32", levers=(LinearProducts("blocks"), FusedSteps(), StepsInPlace("blocks")))


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


def with_a_hook(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Clip gradients before each step, as the author of an optimizer plugin may."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(weights, 0.01)

    optimizer.register_step_pre_hook(clip)
    return optimizer


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


class GradientPenalty(nn.Module):
    """Asks for a gradient of its own in the forward pass, in which the weights take no part."""

    def __init__(self, *, create_graph: bool) -> None:
        super().__init__()
        self.layers = wide()
        self._create_graph = create_graph

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        logits = self.layers(x)
        (slope,) = torch.autograd.grad(logits.square().sum(), x, create_graph=self._create_graph, retain_graph=True)
        return self.layers(x + 0.1 * slope.sign()) + slope.square().mean()  # type: ignore[no-any-return]


class LooksAtGradients(nn.Module):
    """Asks for the gradients of its weights in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = wide()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gradients = torch.autograd.grad(self.layers(x).square().mean(), list(self.layers.parameters()))
        return self.layers(x) * sum(float(gradient.norm()) for gradient in gradients)  # type: ignore[no-any-return]


def normed(norm: Callable[..., nn.Module]) -> nn.Module:
    model = wide()
    norm(model[0])
    return model


class Sliced(nn.Module):
    """Uses parts of one weight as the weights of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), wide())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        upper, lower = self.layers[0].weight.chunk(2)
        return self.layers[1](F.linear(F.linear(x, upper).tanh(), lower))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """Has one weight in two layers, and a penalty on it besides."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = wide()
        self.again = nn.Linear(WIDTH, WIDTH, bias=False)
        self.again.weight = self.layers[0].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(self.again(x)) + self.again.weight.square().mean()  # type: ignore[no-any-return]


class Functional(nn.Module):
    """Differentiates its layers by each of the ways of ``torch.func``, and forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = wide()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.func.vmap(lambda row: self.layers(row[None])[0])(x)
        slope = torch.func.grad(lambda x: self.layers(x).square().mean())(x)
        _, forward = torch.func.jvp(self.layers, (x,), (slope,))
        with forward_ad.dual_level():
            dual = self.layers(forward_ad.make_dual(x, slope))
            again = forward_ad.unpack_dual(dual).tangent
        return y + forward + again  # type: ignore[no-any-return]


def halved(model: nn.Module) -> nn.Module:
    """Halve a gradient as soon as it is there."""

    def halve(weight: torch.Tensor) -> None:
        assert weight.grad is not None
        weight.grad.mul_(0.5)

    model[0].weight.register_post_accumulate_grad_hook(halve)  # type: ignore[index,union-attr,operator]
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "gradient of the input": partial(GradientPenalty, create_graph=False),
    "gradient penalty": partial(GradientPenalty, create_graph=True),
    "gradients of weights": LooksAtGradients,
    "weight norm": lambda: normed(nn.utils.parametrizations.weight_norm),
    "spectral norm": lambda: normed(nn.utils.parametrizations.spectral_norm),
    "old weight norm": lambda: normed(nn.utils.weight_norm),
    "sliced": Sliced,
    "tied": Tied,
    "torch.func": Functional,
    "hook after backward": lambda: halved(wide()),
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, lr=0.01, eps=0.1),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_any_kind_take_the_same_steps(name: str, optimizer: str, precision: Precision) -> None:
    """Adam's eps is large, so that roundings of gradients near zero do not become whole steps.

    In bf16 large layers are computed in fp32, and every rounding of an update may become one of an activation.
    """
    plain = Acceleration(CPU, precision, levers=(LinearProducts("blocks"),) if precision == "bf16" else ())
    models = []
    for acceleration in (replace(IN_PLACE, precision=precision), plain):
        torch.manual_seed(0)
        models.append(MODELS[name]())
        trained(models[-1], OPTIMIZERS[optimizer](models[-1].parameters()), acceleration)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < (1e-5 if precision == "fp32" else 1e-3)


def clip_late(optimizer: torch.optim.Optimizer) -> None:
    with_a_hook(optimizer)


def clip_in_step(optimizer: torch.optim.Optimizer) -> None:
    weights, usual = [weight for group in optimizer.param_groups for weight in group["params"]], optimizer.step

    def step(*args: Any) -> Any:
        nn.utils.clip_grad_norm_(weights, 0.01)
        return usual(*args)

    optimizer.step = step  # type: ignore[method-assign]


def step_every_second_time(optimizer: torch.optim.Optimizer) -> None:
    zero_grad, step, calls = optimizer.zero_grad, optimizer.step, [0]

    def every_second_time(do: Callable[..., Any], *, first: bool) -> Callable[..., Any]:
        return lambda *args, **kwargs: do(*args, **kwargs) if (calls[0] % 2 == 0) is first else None

    def counted(*args: Any) -> None:
        every_second_time(step, first=False)(*args)
        calls[0] += 1

    optimizer.zero_grad = every_second_time(zero_grad, first=True)  # type: ignore[method-assign]
    optimizer.step = counted  # type: ignore[assignment,method-assign]


def zero_instead_of_none(optimizer: torch.optim.Optimizer) -> None:
    zero_grad = optimizer.zero_grad
    optimizer.zero_grad = lambda: zero_grad(set_to_none=False)  # type: ignore[method-assign]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("change", [clip_late, clip_in_step, step_every_second_time, zero_instead_of_none])
def test_what_comes_late_sees_the_gradients_and_the_steps_are_the_same(
    change: Callable[[torch.optim.Optimizer], None], optimizer: str
) -> None:
    models = []
    for acceleration in (IN_PLACE, Acceleration(CPU, "fp32")):
        models.append(wide())
        trained(models[-1], OPTIMIZERS[optimizer](models[-1].parameters()), acceleration, late=change)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < 1e-5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hook_on_all_optimizers_sees_the_gradients(optimizer: str) -> None:
    def clip(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 0.01)

    handle = register_optimizer_step_pre_hook(clip)
    try:
        models = [wide(), wide()]
        for model, acceleration in zip(models, (IN_PLACE, Acceleration(CPU, "fp32")), strict=True):
            trained(model, OPTIMIZERS[optimizer](model.parameters()), acceleration)
    finally:
        handle.remove()
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < 1e-5


def test_a_closure_computes_the_gradients_that_are_taken() -> None:
    weights = []
    for acceleration in (IN_PLACE, Acceleration(CPU, "fp32")):
        model, x = wide(), torch.ones(12, WIDTH)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        case = Case(model, sgd, 12)
        fitted = acceleration.fitted(case).applied(case)

        def loss(model: nn.Module = model, sgd: torch.optim.SGD = sgd, fitted: Acceleration = fitted) -> torch.Tensor:
            sgd.zero_grad()
            with fitted.context():
                loss = model(x).square().sum()  # noqa: B023 - it is the same in both
            loss.backward()
            return loss

        loss()
        sgd.step(loss)
        weights.append(model[0].weight)
    assert error(*weights) < 1e-6


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


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_loaded_state_does_not_say_how_steps_are_computed(optimizer: str) -> None:
    model = wide()
    fused = OPTIMIZERS[optimizer](model.parameters())
    trained(model, fused, IN_PLACE, steps=1)
    plain = OPTIMIZERS[optimizer](model.parameters())
    Acceleration(CPU, "fp32").applied(Case(model, plain, 12))
    plain.load_state_dict(fused.state_dict())
    assert not plain.param_groups[0]["fused"]


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
