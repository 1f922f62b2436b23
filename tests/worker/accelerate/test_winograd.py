"""Convolutions of 3x3 with fewer multiplications: as exact as torch's, or torch's own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from support.gradients import error, gradients
from torch import nn
from torch.nn import functional as F

from benchbench.worker.accelerate import winograd
from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.lever import Layers

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = {"stride": 1, "padding": 1}


def wide_layer() -> nn.Conv2d:
    return nn.Conv2d(192, 192, 3, padding=1)


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
    with FastLayers(Layers(with_winograd=True)):
        ours = gradients(layer, x)
    assert not torch.equal(ours[0], usual[0])
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    for found, plain, right in zip(ours, usual, exact, strict=True):
        assert found.shape == plain.shape
        assert error(found, right) < max(3 * error(plain, right), 1e-6)


def test_a_convolution_gives_what_is_asked_for_alone() -> None:
    layer = wide_layer()
    x, weight = torch.randn(12, layer.in_channels, 8, 8), layer.weight.detach().clone().requires_grad_()
    winograd.conv2d(x, weight, None).sum().backward()
    assert weight.grad is not None
    of_weight = weight.grad.clone()
    x.requires_grad_()
    winograd.conv2d(x, weight.detach(), torch.zeros(len(weight))).sum().backward()
    assert x.grad is not None
    right = F.conv2d(x, weight, padding=layer.padding).sum()
    (right_x, right_weight) = torch.autograd.grad(right, (x, weight))
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
        with FastLayers(Layers(with_winograd=True)):
            found = layer(torch.ones(12, 192, 8, 8))
        assert torch.equal(found, layer(torch.ones(12, 192, 8, 8)))


def test_penalties_of_gradients_have_gradients() -> None:
    torch.manual_seed(0)
    layer = wide_layer()
    x = torch.randn(12, layer.in_channels, 8, 8, requires_grad=True)
    found = []
    for with_winograd in (True, False):
        layer.zero_grad()
        with FastLayers(Layers(with_winograd=with_winograd)):
            (gradient,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        assert layer.weight.grad is not None
        found.append(layer.weight.grad.clone())
    assert error(*found) < 1e-5


def test_a_model_that_computes_in_bf16_itself_is_left_alone() -> None:
    layer = wide_layer()
    x = torch.randn(12, layer.in_channels, 8, 8)
    with FastLayers(Layers(with_winograd=True)), torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found, layer(x))
    found.sum().backward()


@pytest.mark.parametrize(
    "changed",
    [
        lambda weight: 2 * weight,
        lambda weight: weight.flip(0),
        lambda weight: weight.roll(1, 1),
        lambda weight: weight.flip(3),
    ],
    ids=["doubled", "filters flipped", "channels rolled", "kernels flipped"],
)
def test_a_weight_that_is_overwritten_before_the_backward_pass_counts_as_it_is_by_then(
    changed: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    torch.manual_seed(0)
    layer = wide_layer()
    x = torch.randn(12, layer.in_channels, 8, 8, requires_grad=True)
    given = torch.randn(12, layer.out_channels, 8, 8)
    real = layer.weight.detach().sign()  # whose sum is the same in any order

    def input_gradient(layers: Layers) -> torch.Tensor:
        layer.weight.data.copy_(changed(real))
        with FastLayers(layers):
            outputs = layer(x)
        layer.weight.data.copy_(real)
        return torch.autograd.grad((outputs * given).sum(), x)[0]

    assert error(input_gradient(Layers(with_winograd=True)), input_gradient(Layers())) < 1e-5
