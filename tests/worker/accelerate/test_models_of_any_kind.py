"""Models, optimizers and hooks that acceleration knows nothing of take the same steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.gradients import error
from support.steps import CPU, IN_PLACE, WIDTH, in_place, trained, trained_on_images, wide, with_a_hook
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from benchbench.worker.accelerate import Acceleration, Case, accelerate, linear_products
from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.linear_products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.config.defaults import Precision


@pytest.fixture(autouse=True)
def _small_layers_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are large in earnest take seconds."""
    monkeypatch.setattr(linear_products, "MIN_WEIGHTS", WIDTH**2)


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


class Binarised(nn.Module):
    """Computes with binary weights once it is warm, and gives the gradients to the real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), wide())
        self.num_passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.num_passes += 1
        if self.num_passes <= 2:
            return self.layers(x)  # type: ignore[no-any-return]
        weight = self.layers[2][0].weight
        real = weight.data
        weight.data = real.sign() * real.abs().mean()
        logits = self.layers(x)
        weight.data = real
        return logits  # type: ignore[no-any-return]


class Vectorised(nn.Module):
    """Asks for many gradients at once, of the input and of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = wide()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            few = self.layers(x.detach().requires_grad_()).mean(0)[:3]
            weight = self.layers[0].weight
            (slopes,) = torch.autograd.grad(few, weight, torch.eye(3), is_grads_batched=True)
        return self.layers(x) * (1 + slopes.norm())  # type: ignore[no-any-return]


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
    "weights exchanged": Binarised,
    "batched gradients": Vectorised,
    "hook after backward": lambda: halved(wide()),
}
BOUNDS = {"fp32": 1e-5, "bf16": 1e-3}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, lr=0.01, eps=0.1),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_any_kind_take_the_same_steps(name: str, products: str, optimizer: str, precision: Precision) -> None:
    """Adam's eps is large, so that roundings of gradients near zero do not become whole steps.

    In bf16 large layers are computed in fp32, and every rounding of an update may become one of an activation.
    """
    models = []
    for acceleration in (in_place(products, precision=precision), plain(products, precision)):
        torch.manual_seed(0)
        models.append(MODELS[name]())
        trained(models[-1], OPTIMIZERS[optimizer](models[-1].parameters()), acceleration)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < BOUNDS[precision]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("name", MODELS)
def test_in_bf16_models_of_any_kind_are_as_close_to_fp32_as_with_torchs_autocast(
    name: str, products: str, optimizer: str
) -> None:
    def weights(acceleration: Acceleration) -> torch.Tensor:
        torch.manual_seed(0)
        model = MODELS[name]()
        trained(model, OPTIMIZERS[optimizer](model.parameters()), acceleration)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    precise = weights(Acceleration(CPU, "fp32"))
    ours, theirs = weights(in_place(products, precision="bf16")), weights(Acceleration(CPU, "bf16"))
    assert error(ours, precise) <= 2 * error(theirs, precise)


def plain(products: str, precision: Precision) -> Acceleration:
    """Return torch's own way, but for large layers in bf16, which are computed in fp32."""
    return Acceleration(CPU, precision, levers=(LinearProducts(products),) if precision == "bf16" else ())


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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("change", [clip_late, clip_in_step, step_every_second_time, zero_instead_of_none])
def test_what_comes_late_sees_the_gradients_and_the_steps_are_the_same(
    change: Callable[[torch.optim.Optimizer], None], products: str, optimizer: str, precision: Precision
) -> None:
    models = []
    for acceleration in (in_place(products, precision=precision), plain(products, precision)):
        models.append(wide())
        trained(models[-1], OPTIMIZERS[optimizer](models[-1].parameters()), acceleration, late=change)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < BOUNDS[precision]


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


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_loaded_state_does_not_say_how_steps_are_computed(optimizer: str) -> None:
    model = wide()
    fused = OPTIMIZERS[optimizer](model.parameters())
    trained(model, fused, IN_PLACE, steps=1)
    plain = OPTIMIZERS[optimizer](model.parameters())
    Acceleration(CPU, "fp32").applied(Case(model, plain, 12))
    plain.load_state_dict(fused.state_dict())
    assert not plain.param_groups[0]["fused"]


class Lenet(nn.Module):
    """Views the output of a convolution as vectors, as tutorials do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 5), nn.Conv2d(8, 8, 5)
        self.last = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.first(x).relu(), 2)
        x = F.pad(self.second(x).relu(), (1, 1, 1, 1))
        return self.last(x.view(x.size(0), -1))  # type: ignore[no-any-return]


def normalised() -> nn.Module:
    layers = (nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2))
    return nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


def lazy() -> nn.Module:
    model = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    with torch.no_grad():
        model(torch.zeros(1, 3, 16, 16))
    return model


def volumes() -> nn.Module:
    volume = (nn.Unflatten(1, (1, 8)), nn.Conv3d(1, 4, 3), nn.ReLU())
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *volume, nn.Flatten(), nn.Linear(4 * 6 * 12 * 12, 10))


IMAGE_MODELS: dict[str, Callable[[], nn.Module]] = {
    "a view": Lenet,
    "batch norm": normalised,
    "lazy": lazy,
    "3d": volumes,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_models_of_images_take_the_steps_of_a_plain_loop(name: str, optimizer: str) -> None:
    models = []
    for acceleration in (accelerate(CPU, "fp32"), Acceleration(CPU, "fp32")):
        torch.manual_seed(0)
        models.append(IMAGE_MODELS[name]())
        trained_on_images(models[-1], OPTIMIZERS[optimizer](models[-1].parameters()), acceleration)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, theirs) < BOUNDS["fp32"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["batch norm", "lazy"])
def test_steps_with_channels_last_are_as_close_to_fp32_as_with_torchs_autocast(name: str, optimizer: str) -> None:
    def weights(acceleration: Acceleration) -> torch.Tensor:
        torch.manual_seed(0)
        model = IMAGE_MODELS[name]()
        trained_on_images(model, OPTIMIZERS[optimizer](model.parameters()), acceleration)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    precise = weights(Acceleration(CPU, "fp32"))
    ours = weights(Acceleration(CPU, "bf16", levers=(ChannelsLast(), FusedSteps())))
    assert error(ours, precise) <= 2 * error(weights(Acceleration(CPU, "bf16")), precise)
