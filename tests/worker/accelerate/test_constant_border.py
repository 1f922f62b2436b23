"""Convolutions of images with a constant border: the same numbers, or torch's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.gradients import error, gradients
from torch import nn

from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.lever import Layers
from benchbench.worker.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable

MIDDLE = Window(Span(43, 107), Span(43, 107))


def make_images(count: int, window: Window = MIDDLE, size: int = 150) -> torch.Tensor:
    """Return images of which only a window differs, each channel with a border of its own color."""
    generator = torch.Generator().manual_seed(count)
    images = torch.tensor([-2.1, -2.0, -1.8])[:, None, None].expand(count, 3, size, size).clone()
    inside = images[:, :, window.rows.indices, window.columns.indices]
    inside.copy_(torch.randn(inside.shape, generator=generator))
    return images


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
    ("layer", "window", "size"),
    [
        (nn.Conv2d(3, 64, 11, stride=4, padding=2), MIDDLE, 150),
        (nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False), MIDDLE, 150),
        (nn.Conv2d(3, 16, (5, 3), stride=(1, 2), padding=(0, 1)), Window(Span(9, 20), Span(3, 25)), 41),
    ],
    ids=["alexnet", "resnet", "not square"],
)
def test_a_border_is_convolved_once_for_all_images(layer: nn.Conv2d, window: Window, size: int) -> None:
    images = make_images(5, window, size)
    exact = gradients(copy.deepcopy(layer).double(), images.double())
    usual = gradients(layer, images)
    shapes: list[torch.Size] = []
    with FastLayers(Layers(window=window), images), Spy(shapes):
        layer(images)
    assert shapes[0][0] == 1, "one image stands for the border"
    assert shapes[1][2:].numel() < images.shape[2:].numel() / 2, "of the others the middle alone is computed"
    with FastLayers(Layers(window=window), images):
        ours = gradients(layer, images)
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_outputs_lie_in_memory_as_torchs_do(memory_format: torch.memory_format) -> None:
    layer = nn.Conv2d(3, 8, 11, stride=4).to(memory_format=memory_format)
    images = make_images(3).contiguous(memory_format=memory_format)
    with FastLayers(Layers(window=MIDDLE), images):
        assert layer(images).is_contiguous(memory_format=memory_format)


def first_layers() -> nn.Sequential:
    """Return AlexNet's first two convolutions, and what lies between them."""
    torch.manual_seed(0)
    between = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(3, 2))
    return nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), between, nn.Conv2d(64, 192, 5, padding=2))


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images + torch.linspace(0, 1, 150),
        lambda images: images.add_(torch.linspace(0, 1, 150)),
        lambda images: images[:, :, 1:, 1:],
    ],
    ids=["another tensor", "in place", "a part"],
)
def test_images_that_a_model_changes_are_convolved_as_they_are(
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(3, 8, 11, stride=4), make_images(3)
    right = layer(change(images.clone()))
    with FastLayers(Layers(window=MIDDLE), images):
        found = layer(change(images))
    assert error(found.detach(), right.detach()) < 1e-6


def test_a_single_image_is_convolved_whole() -> None:
    for count, num_parts in ((12, 2), (1, 1)):
        shapes: list[torch.Size] = []
        images = make_images(count)
        with FastLayers(Layers(window=MIDDLE), images), Spy(shapes):
            first_layers()[0](images)
        assert len(shapes) == num_parts, count


@pytest.mark.parametrize("first", [nn.Identity(), nn.ReLU(), nn.MaxPool2d(3, 1)], ids=["image", "relu", "pooled"])
def test_each_image_gets_a_gradient_of_its_own(first: nn.Module) -> None:
    model, images = nn.Sequential(first, first_layers()), make_images(12).requires_grad_()
    with FastLayers(Layers(window=MIDDLE), images):
        model(images).square().sum().backward()
    found, images.grad = images.grad, None
    model(images).square().sum().backward()
    right = images.grad
    assert found is not None
    assert right is not None
    assert error(found, right) < 1e-6


def kept_early(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    activations = model[:2](images)
    activations.retain_grad()
    model[2](activations).square().sum().backward()
    return gradient_of(activations)


def kept_late(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    activations = model[:2](images)
    outputs = model[2](activations)
    activations.retain_grad()
    outputs.square().sum().backward()
    return gradient_of(activations)


def told_to_an_old_hook(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    told: list[torch.Tensor] = []
    model[0].register_backward_hook(lambda _module, _inputs, outputs: told.append(outputs[0].clone()))
    model(images).square().sum().backward()
    return told[0]


def asked_for(model: nn.Sequential, images: torch.Tensor) -> torch.Tensor:
    activations = model[:2](images)
    return torch.autograd.grad(model[2](activations).square().sum(), activations)[0]


def gradient_of(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("gradient", [kept_early, kept_late, told_to_an_old_hook, asked_for])
def test_gradients_of_activations_are_each_images_own(
    gradient: Callable[[nn.Sequential, torch.Tensor], torch.Tensor],
) -> None:
    images = make_images(12)
    found = []
    for window in (MIDDLE, None):
        with FastLayers(Layers(window=window), images):
            found.append(gradient(first_layers(), images))
    assert error(found[0], found[1]) < 1e-5


def test_a_border_is_shared_without_gradients_and_in_inference_mode() -> None:
    model, images = first_layers(), make_images(12)
    with torch.no_grad():
        right = model(images)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), FastLayers(Layers(window=MIDDLE, with_winograd=True), images):
            assert error(model(images), right) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv2d(3, 8, 5, dilation=2),
        nn.Conv2d(3, 9, 3, groups=3),
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 8, 140, stride=10, padding=20),
    ],
    ids=["padding in words", "dilated", "grouped", "reflected", "nothing but image"],
)
def test_other_convolutions_of_images_are_torchs_own(layer: nn.Conv2d) -> None:
    images = make_images(2)
    right = layer(images)
    with FastLayers(Layers(window=MIDDLE, with_winograd=True), images):
        assert torch.equal(layer(images), right)
