"""Convolutions and steps that are computed otherwise than by torch: the same numbers, or torch's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from test_accelerate import CPU, error
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchbench.accelerate import Acceleration, winograd, winograd_5x5
from benchbench.accelerate.layers import FastLayers
from benchbench.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable

MIDDLE = Window(Span(43, 107), Span(43, 107))
PLAIN = {"stride": 1, "padding": 1}


def pictures(count: int, window: Window = MIDDLE, size: int = 150) -> torch.Tensor:
    """Return pictures of which only a window differs, each channel with a border of its own colour."""
    generator = torch.Generator().manual_seed(count)
    images = torch.tensor([-2.1, -2.0, -1.8])[:, None, None].expand(count, 3, size, size).clone()
    inside = images[:, :, window.rows.indices, window.columns.indices]
    inside.copy_(torch.randn(inside.shape, generator=generator))
    return images


def gradients(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Return output, gradients of the parameters and, where it is asked for, of the input."""
    layer.zero_grad()
    x = x.detach().requires_grad_() if x.requires_grad else x
    output = layer(x)
    (output * torch.linspace(-1, 1, output.numel(), dtype=x.dtype).view_as(output)).sum().backward()
    found = [output.detach(), *(weight.grad for weight in layer.parameters()), x.grad]
    return [tensor.clone() for tensor in found if tensor is not None]


@pytest.mark.parametrize(
    ("layer", "window", "size"),
    [
        (nn.Conv2d(3, 64, 11, stride=4, padding=2), MIDDLE, 150),
        (nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False), MIDDLE, 150),
        (nn.Conv2d(3, 16, (5, 3), stride=(1, 2), padding=(0, 1)), Window(Span(9, 20), Span(3, 25)), 41),
    ],
    ids=["alexnet", "resnet", "not square"],
)
def test_a_border_is_convolved_once_for_all_pictures(layer: nn.Conv2d, window: Window, size: int) -> None:
    images = pictures(5, window, size)
    exact = gradients(copy.deepcopy(layer).double(), images.double())
    usual = gradients(layer, images)
    shapes: list[torch.Size] = []
    with FastLayers(images=images, window=window), Spy(shapes):
        layer(images)
    assert shapes[0][0] == 1, "one picture stands for the border"
    assert shapes[1][2:].numel() < images.shape[2:].numel() / 2, "of the others the middle alone is computed"
    with FastLayers(images=images, window=window):
        ours = gradients(layer, images)
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


def first_layers(between: nn.Module | None = None) -> nn.Sequential:
    """Return AlexNet's first two convolutions, and what lies between them."""
    torch.manual_seed(0)
    between = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)) if between is None else between
    return nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), between, nn.Conv2d(64, 192, 5, padding=2))


@pytest.mark.parametrize("with_winograd", [False, True])
def test_a_border_is_followed_through_relu_and_pooling(with_winograd: bool) -> None:  # noqa: FBT001
    model, images = first_layers(), pictures(12)
    exact = gradients(copy.deepcopy(model).double(), images.double())
    usual = gradients(model, images)
    shapes: list[torch.Size] = []
    with FastLayers(images=images, window=MIDDLE, with_winograd=with_winograd), Spy(shapes):
        model(images)
    whole, apart = torch.Size([1, 64, 17, 17]), torch.Size([12, 64, 18, 18])
    assert shapes[2:] == ([whole] if with_winograd else [whole, apart]), "14x14 of 17x17 outputs are each picture's own"
    with FastLayers(images=images, window=MIDDLE, with_winograd=with_winograd):
        ours = gradients(model, images)
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


class OneBrighter(nn.Module):
    """Changes the corner of one picture in place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = F.max_pool2d(F.relu(x), 3, 2)
        pooled[1, :, 0, 0] += 1
        return pooled


@pytest.mark.parametrize(
    "between",
    [
        OneBrighter(),
        nn.Sequential(nn.Tanh(), nn.MaxPool2d(3, 2)),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(2, 2, dilation=2),
    ],
    ids=["changed in place", "another function", "pooled beyond the edge", "dilated"],
)
def test_a_border_is_followed_no_further_than_it_is_known(between: nn.Module) -> None:
    model, images = first_layers(between), pictures(12)
    right = model(images)
    shapes: list[torch.Size] = []
    with FastLayers(images=images, window=MIDDLE), Spy(shapes):
        found = model(images)
    assert error(found.detach(), right.detach()) < 1e-6
    assert len(shapes) == 3, "the first layer in two parts, the second whole"


class Spy(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the shapes of what torch convolves."""

    def __init__(self, shapes: list[torch.Size]) -> None:
        super().__init__()
        self._shapes = shapes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self._shapes.append(args[0].shape)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images + torch.linspace(0, 1, 150),
        lambda images: images.add_(torch.linspace(0, 1, 150)),
        lambda images: images[:, :, 1:, 1:],
    ],
    ids=["another tensor", "in place", "a part"],
)
def test_pictures_that_a_model_changes_are_convolved_as_they_are(
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(3, 8, 11, stride=4), pictures(3)
    right = layer(change(images.clone()))
    with FastLayers(images=images, window=MIDDLE):
        found = layer(change(images))
    assert error(found.detach(), right.detach()) < 1e-6


def test_a_second_layer_is_taken_apart_where_that_is_less_work() -> None:
    model = first_layers()
    for count, num_parts in ((12, 4), (8, 3), (1, 2)):
        shapes: list[torch.Size] = []
        images = pictures(count)
        with FastLayers(images=images, window=MIDDLE), Spy(shapes):
            model(images)
        assert len(shapes) == num_parts, count


@pytest.mark.parametrize("first", [nn.Identity(), nn.ReLU(), nn.MaxPool2d(3, 1)], ids=["picture", "relu", "pooled"])
def test_each_picture_gets_a_gradient_of_its_own(first: nn.Module) -> None:
    model, images = nn.Sequential(first, first_layers()), pictures(12).requires_grad_()
    with FastLayers(images=images, window=MIDDLE):
        model(images).square().sum().backward()
    found, images.grad = images.grad, None
    model(images).square().sum().backward()
    right = images.grad
    assert found is not None
    assert right is not None
    assert error(found, right) < 1e-6


class Watched(nn.Module):
    """Keeps the gradient of what passes through it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = F.max_pool2d(F.relu(x), 3, 2)
        if self.seen.requires_grad:
            self.seen.retain_grad()
        return self.seen


def test_gradients_that_a_model_keeps_are_each_pictures_own() -> None:
    model, images = first_layers(Watched()), pictures(12)
    found: list[torch.Tensor] = []
    for window in (MIDDLE, None):
        with FastLayers(images=images, window=window):
            model(images).square().sum().backward()
        found.append(model[1].seen.grad)
    assert error(found[0], found[1]) < 1e-5


def test_a_border_is_followed_without_gradients_and_in_inference_mode() -> None:
    model, images = first_layers(), pictures(12)
    with torch.no_grad():
        right = model(images)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), FastLayers(images=images, window=MIDDLE, with_winograd=True):
            assert error(model(images), right) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv2d(3, 8, 5, dilation=2),
        nn.Conv2d(3, 9, 3, groups=3),
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 8, 140, padding=20),
    ],
    ids=["padding in words", "dilated", "grouped", "reflected", "nothing but picture"],
)
def test_other_convolutions_of_pictures_are_torchs_own(layer: nn.Conv2d) -> None:
    images = pictures(2)
    right = layer(images)
    with FastLayers(images=images, window=MIDDLE, with_winograd=True):
        assert torch.equal(layer(images), right)


@pytest.mark.parametrize(
    ("num_images", "channels", "outputs", "size"),
    [(12, 192, 384, 8), (48, 192, 192, 8), (32, 512, 512, 2)],
    ids=["alexnet", "in parts", "resnet"],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_winograds_convolutions_are_as_exact_as_direct_ones(
    num_images: int, channels: int, outputs: int, size: int, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, outputs, 3, padding=1)
    x = torch.randn(num_images, channels, size, size).relu().contiguous(memory_format=memory_format).requires_grad_()
    assert winograd.fits(x, layer.weight, **PLAIN)
    exact = gradients(copy.deepcopy(layer).double(), x.double())
    usual = gradients(layer, x)
    with FastLayers(with_winograd=True):
        ours = gradients(layer, x)
    assert not torch.equal(ours[0], usual[0])
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert found.shape == plain.shape
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


def test_winograds_convolution_gives_what_is_asked_for_alone() -> None:
    x, weight = torch.randn(12, 128, 8, 8), torch.randn(128, 128, 3, 3, requires_grad=True)
    winograd.conv2d(x, weight, None).sum().backward()
    assert weight.grad is not None
    of_weight = weight.grad.clone()
    x.requires_grad_()
    winograd.conv2d(x, weight.detach(), torch.zeros(128)).sum().backward()
    assert x.grad is not None
    (right_x, right_weight) = torch.autograd.grad(F.conv2d(x, weight, padding=1).sum(), (x, weight))
    assert error(x.grad, right_x) < 1e-5
    assert error(of_weight, right_weight) < 1e-5


def test_small_and_other_convolutions_are_not_winograds() -> None:
    x, weight = torch.zeros(12, 192, 8, 8), torch.zeros(384, 192, 3, 3)
    assert winograd.fits(x, weight, **PLAIN)
    assert not winograd.fits(x[:1], weight, **PLAIN)
    assert not winograd.fits(x[..., :7], weight, **PLAIN)
    assert not winograd.fits(x[:, :128], weight[:, :128], **PLAIN)
    assert not winograd.fits(x.bfloat16(), weight.bfloat16(), **PLAIN)
    assert not winograd.fits(x, torch.zeros(384, 192, 1, 1), **PLAIN | {"padding": 0})
    for name, value in (("stride", (2, 2)), ("padding", (0, 0)), ("padding", "same")):
        assert not winograd.fits(x, weight, **PLAIN | {name: value}), name
    for layer in (nn.Conv2d(192, 384, 3, padding=1, groups=2), nn.Conv2d(192, 384, 3, padding=1, dilation=2)):
        with FastLayers(with_winograd=True):
            found = layer(torch.ones(12, 192, 8, 8))
        assert torch.equal(found, layer(torch.ones(12, 192, 8, 8)))


@pytest.mark.parametrize(
    ("num_images", "channels", "outputs", "height", "width", "padding"),
    [(12, 64, 192, 18, 18, 0), (24, 64, 192, 18, 18, 0), (16, 128, 96, 12, 14, 0), (12, 64, 192, 13, 14, 2)],
    ids=["alexnet", "in parts", "not square", "padded"],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_wide_convolutions_are_as_exact_as_direct_ones(
    num_images: int,
    channels: int,
    outputs: int,
    height: int,
    width: int,
    padding: int,
    memory_format: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(channels, outputs, 5, padding=padding), nn.ReLU(inplace=True))
    x = torch.randn(num_images, channels, height, width).relu().contiguous(memory_format=memory_format).requires_grad_()
    assert winograd_5x5.fits(x, layer[0].weight, stride=1, padding=layer[0].padding)
    exact = gradients(copy.deepcopy(layer).double(), x.double())
    usual = gradients(layer, x)
    with FastLayers(with_winograd=True):
        ours = gradients(layer, x)
    assert not torch.equal(ours[0], usual[0])
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert found.shape == plain.shape
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


def test_a_wide_convolution_gives_what_is_asked_for_alone() -> None:
    x, weight = torch.randn(12, 64, 18, 18), torch.randn(192, 64, 5, 5, requires_grad=True)
    winograd_5x5.conv2d(x, weight, None).sum().backward()
    assert weight.grad is not None
    of_weight = weight.grad.clone()
    x.requires_grad_()
    winograd_5x5.conv2d(x, weight.detach(), torch.zeros(192)).sum().backward()
    assert x.grad is not None
    (right_x, right_weight) = torch.autograd.grad(F.conv2d(x, weight).sum(), (x, weight))
    assert error(x.grad, right_x) < 1e-5
    assert error(of_weight, right_weight) < 1e-5


@pytest.mark.parametrize(
    ("layer", "size"), [(nn.Conv2d(192, 192, 3, padding=1), 8), (nn.Conv2d(64, 192, 5), 18)], ids=["3x3", "5x5"]
)
def test_penalties_of_gradients_have_gradients(layer: nn.Conv2d, size: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(12, layer.in_channels, size, size, requires_grad=True)
    found = []
    for with_winograd in (True, False):
        layer.zero_grad()
        with FastLayers(with_winograd=with_winograd):
            (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        assert layer.weight.grad is not None
        found.append(layer.weight.grad.clone())
    assert error(*found) < 1e-5


@pytest.mark.parametrize(
    ("layer", "size"), [(nn.Conv2d(192, 192, 3, padding=1), 8), (nn.Conv2d(64, 192, 5), 18)], ids=["3x3", "5x5"]
)
def test_a_model_that_computes_in_bf16_itself_is_left_alone(layer: nn.Conv2d, size: int) -> None:
    x = torch.randn(12, layer.in_channels, size, size)
    with FastLayers(with_winograd=True), torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found, layer(x))
    found.sum().backward()


def test_small_and_other_convolutions_are_not_wide() -> None:
    x, weight = torch.zeros(12, 64, 18, 18), torch.zeros(192, 64, 5, 5)
    how = {"stride": 1, "padding": 0}
    assert winograd_5x5.fits(x, weight, **how)
    assert winograd_5x5.fits(x, weight, stride=1, padding=(2, 2))
    assert not winograd_5x5.fits(x[:1], weight, **how)
    assert not winograd_5x5.fits(x[..., :17], weight, **how)
    assert not winograd_5x5.fits(x, weight[:64], **how)
    assert not winograd_5x5.fits(x[:, :, :4], weight, **how)
    assert not winograd_5x5.fits(x, weight, stride=2, padding=0)
    assert not winograd_5x5.fits(x, weight, stride=1, padding="same")
    assert not winograd_5x5.fits(x.bfloat16(), weight.bfloat16(), **how)
    assert not winograd_5x5.fits(x, torch.zeros(192, 64, 3, 3), **how)


def wide(num_inputs: int = 2048) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(num_inputs, 2048), nn.Tanh(), nn.Linear(2048, 10))


def trained(
    model: nn.Module, optimizer: torch.optim.Optimizer, acceleration: Acceleration, *, steps: int = 4
) -> Acceleration:
    """Take some steps of twelve vectors each, and return how they were computed."""
    fitted = acceleration.fitted(model, optimizer, batch_size=12)
    chance = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(12, 2048, generator=chance)
        optimizer.zero_grad()
        with fitted.context(x):
            loss = F.cross_entropy(model(x), torch.arange(12) % 10)
        loss.backward()
        optimizer.step()
    return fitted


IN_PLACE = Acceleration(CPU, "fp32", linear="blocks", fused=True, in_place=True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 0.1},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
    ],
    ids=lambda settings: ", ".join(settings) or "plain",
)
def test_steps_of_sgd_need_no_gradients_of_large_weights(settings: dict[str, float]) -> None:
    ours, theirs = wide(), wide()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1, **settings) for model in (ours, theirs)]
    fitted = trained(ours, optimizers[0], IN_PLACE)
    trained(theirs, optimizers[1], Acceleration(CPU, "fp32"))
    assert fitted.facts()["optimizer"] == "in place"
    assert ours[0].weight.grad is None
    assert ours[2].weight.grad is not None
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
    fitted = IN_PLACE.fitted(parted, again, batch_size=12)
    again.load_state_dict(kept[1])
    trained(parted, again, fitted, steps=2)
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


def test_weights_whose_saved_copies_are_elsewhere_take_their_steps() -> None:
    ours, theirs = Offloaded(), Offloaded()
    trained(ours, torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9), IN_PLACE)
    trained(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9), Acceleration(CPU, "fp32"))
    for found, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert error(found, right) < 1e-6


class Twice(nn.Module):
    """Uses one layer two times."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2048, 2048)

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
        lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True),
        lambda weights: torch.optim.SGD(weights, lr=0.1, maximize=True),
        lambda weights: torch.optim.Adam(weights, lr=0.1),
    ],
    ids=["nesterov", "maximize", "adam"],
)
def test_optimizers_that_need_the_gradient_itself_get_it(make: Callable[..., torch.optim.Optimizer]) -> None:
    model = wide()
    fitted = trained(model, make(model.parameters()), IN_PLACE, steps=1)
    assert fitted.facts()["optimizer"] == "fused"
    assert model[0].weight.grad is not None


def test_a_gradient_that_no_step_took_is_forgotten() -> None:
    model = wide()
    before = model[0].weight.detach().clone()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    fitted = IN_PLACE.fitted(model, sgd, batch_size=12)
    with fitted.context():
        model(torch.randn(12, 2048)).sum().backward()
    sgd.zero_grad()
    with fitted.context(), torch.no_grad():
        model(torch.randn(12, 2048))
    sgd.step()
    assert torch.equal(model[0].weight, before)
