"""The proof before a trial: it keeps what is right, drops what is not, and leaves nothing behind."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.proofs import CPU, EVERYTHING, BrokenBorder, BrokenFusion, convolutional, proof, sgd
from torch import nn
from torch.nn import functional as F

from benchbench.worker.accelerate import (
    Acceleration,
    Case,
    Proof,
    accelerate,
)
from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.constant_border import ConstantBorder
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.winograd import Winograd
from benchbench.worker.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchbench.config.defaults import Precision


def test_what_is_right_is_kept() -> None:
    given = proof(convolutional())
    acceleration = Acceleration(CPU, "fp32", levers=EVERYTHING).fitted(given.case)
    assert acceleration.levers == EVERYTHING
    proven = given.proven(acceleration)
    assert proven.note == ""
    assert proven.levers == EVERYTHING


@pytest.mark.parametrize("make", [sgd, partial(torch.optim.SGD, lr=0.1), partial(torch.optim.Adam, lr=0.001)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_this_machine_chooses_is_right(precision: Precision, make: Callable[..., torch.optim.Optimizer]) -> None:
    given = proof(convolutional(), make)
    # torch converts to bf16 where a processor has none.
    acceleration = replace(accelerate(CPU, "fp32"), precision=precision).fitted(given.case)
    proven = given.proven(acceleration)
    assert proven.note == ""
    assert proven.levers == acceleration.levers


def test_channels_last_is_kept_in_bf16() -> None:
    proven = proof(convolutional()).proven(Acceleration(CPU, "bf16", levers=(ChannelsLast(), FusedSteps())))
    assert proven.note == ""


class Lenet(nn.Module):
    """Views the output of a convolution as vectors, as tutorials do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.last = nn.Conv2d(3, 8, 5), nn.Linear(8 * 28 * 28, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(x.view(x.size(0), -1))  # type: ignore[no-any-return]


class LenetInEvaluation(Lenet):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.last(x.flatten(1) if self.training else x.view(x.size(0), -1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("build", [Lenet, LenetInEvaluation])
def test_a_view_is_no_reason_to_refuse_a_model(build: Callable[[], nn.Module]) -> None:
    levers = (ConstantBorder(), ChannelsLast(), FusedSteps())
    proven = proof(build()).proven(Acceleration(CPU, "fp32", levers=levers))
    assert proven.levers == (ConstantBorder(), FusedSteps())
    assert "view" in proven.dropped["channels_last"]


class LooksAtActivations(nn.Module):
    """Weighs its activations by their gradients, which it asks for in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.again = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            activations = F.relu(self.conv(x))
            (gradient,) = torch.autograd.grad(self.again(activations).square().mean(), activations)
        return self.again(activations * gradient).mean((2, 3))  # type: ignore[no-any-return]


def test_a_border_is_shared_also_if_a_model_looks_at_gradients_of_activations() -> None:
    levers = (ConstantBorder(), FusedSteps())
    proven = proof(LooksAtActivations()).proven(Acceleration(CPU, "fp32", levers=levers))
    assert proven.note == ""


class NormalisesInPlace(nn.Module):
    """Changes the very images that it is given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 5), nn.Flatten(), nn.Linear(8 * 28 * 28, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.sub_(0.5).div_(0.25))  # type: ignore[no-any-return]


def test_a_model_that_changes_its_images_in_place_keeps_its_levers() -> None:
    given = proof(NormalisesInPlace())
    images = given.images.clone()
    proven = given.proven(Acceleration(CPU, "fp32", levers=(ConstantBorder(), FusedSteps())))
    assert proven.note == ""
    assert torch.equal(given.images, images)


class AddsNoise(NormalisesInPlace):
    """Changes the very images that it is given, in training alone, after which no border is constant."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.add_(torch.randn_like(x)) if self.training else x)  # type: ignore[no-any-return]


def test_noise_that_a_model_adds_to_its_images_in_training_costs_no_lever() -> None:
    proven = proof(AddsNoise()).proven(Acceleration(CPU, "fp32", levers=(ConstantBorder(), FusedSteps())))
    assert proven.note == ""


class HoldsItself(nn.Module):
    """Computes by a function that holds the layer, so that a copy computes with the original's weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        last, norm = nn.Linear(3 * 32 * 32, 10), nn.BatchNorm2d(3)
        self.last, self.norm = last, norm
        self.steps = [lambda x: 2 * norm(x), lambda x: last(x.flatten(1))]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


def test_without_a_gradient_in_a_copy_there_is_no_proof() -> None:
    model = HoldsItself()
    proven = proof(model).proven(Acceleration(CPU, "fp32", levers=(FusedSteps(),)))
    assert "no gradient reaches a copy" in proven.note
    assert model.last.weight.grad is None
    assert not model.norm.running_mean.any(), "its running statistics are as they were"


class Masked(nn.Module):
    """Has a mask with infinite numbers, as attention has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Linear(3 * 32 * 32, 10)
        self.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(1)) + self.mask.softmax(1).mean()  # type: ignore[no-any-return,operator]


def test_infinite_numbers_in_a_mask_are_no_difference() -> None:
    proven = proof(Masked()).proven(Acceleration(CPU, "fp32", levers=(ConstantBorder(), FusedSteps())))
    assert proven.note == ""


class WideInEvaluation(nn.Module):
    """Views what a wide layer computes, which Winograd takes in batches of an evaluation alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.wide = nn.Conv2d(3, 192, 8, stride=8), nn.Conv2d(192, 192, 3, padding=1)
        self.last = nn.Linear(192 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(self.first(x)).relu()
        return self.last(x.view(x.size(0), -1))  # type: ignore[no-any-return]


def test_what_only_the_batches_of_an_evaluation_are_computed_by_is_proven_too() -> None:
    proven = proof(WideInEvaluation()).proven(Acceleration(CPU, "fp32", levers=(Winograd(), FusedSteps())))
    assert "view" in proven.dropped["winograd"]


class Volumes(nn.Module):
    """Has convolutions of three dimensions, of two, and layers that know their inputs only when they see them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Unflatten(1, (1, 8)), nn.Conv3d(1, 4, 3))
        self.last = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x).flatten(1))  # type: ignore[no-any-return]


def test_lazy_layers_and_volumes_are_accelerated_where_that_is_possible() -> None:
    model = Volumes()
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    given = proof(model)
    proven = given.proven(accelerate(CPU, "fp32").without({}, (ChannelsLast(), FusedSteps())).fitted(given.case))
    assert proven.note == ""


class Careless(nn.Module):
    """Draws from every generator, counts its passes and has running statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.last = nn.BatchNorm2d(3), nn.Linear(3 * 32 * 32, 10)
        self.num_passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.num_passes += 1
        scale = 1 + random.random() + float(np.random.rand())  # noqa: NPY002, S311 - the generators that plugins may use
        x = self.norm(x) * (scale + torch.rand(()))
        self.kept = x  # such a model cannot be copied again
        return self.last(x.flatten(1))  # type: ignore[no-any-return]


def random_numbers() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002, S311 - the generators that plugins may use


@pytest.mark.parametrize("make", [sgd, partial(torch.optim.Adam, lr=0.1)])
def test_nothing_of_a_proof_is_left_behind(make: Callable[..., torch.optim.Optimizer]) -> None:
    model = Careless()
    given = proof(model, make)
    state = copy.deepcopy(model.state_dict())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002 - the same
    expected = random_numbers()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002 - the same
    proven = given.proven(Acceleration(CPU, "fp32", levers=(FusedSteps(),)))
    assert random_numbers() == expected
    assert proven.note == ""
    assert model.num_passes == 0
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not given.case.optimizer.state
    assert not given.case.optimizer._optimizer_step_pre_hooks
    assert not any(weight._post_accumulate_grad_hooks for weight in model.parameters())


class Uncopyable(nn.Module):
    """Keeps a tensor of its graph, which torch does not copy."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3 * 32 * 32, 10)
        self.kept = self.last.weight * 2

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(1))  # type: ignore[no-any-return]


def test_without_a_proof_torch_computes() -> None:
    given = proof(Uncopyable())
    proven = given.proven(Acceleration(CPU, "fp32", levers=(FusedSteps(),)))
    assert not proven.levers
    assert "there is no proof" in proven.note


class Full(nn.Module):
    """Has no memory left for float64, which only a proof asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = convolutional()

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise torch.OutOfMemoryError("the device is full")
        return self.layers(x)  # type: ignore[no-any-return]


def test_a_proof_that_memory_is_too_short_for_is_none_and_says_so() -> None:
    proven = proof(Full()).proven(Acceleration(CPU, "fp32", levers=(BrokenBorder(), FusedSteps())))
    assert not proven.levers
    assert "there is no proof: memory is short" in proven.note


class Filling(nn.Module):
    """Has no memory left from a certain pass on, counted over all copies."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.layers = convolutional()
        self.passes = count(1)
        self.last = last

    def __deepcopy__(self, memo: dict[int, Any]) -> Filling:
        copied = Filling(self.last)
        copied.layers, copied.passes = copy.deepcopy(self.layers, memo), self.passes
        return copied

    def forward(self, x: Tensor) -> Tensor:
        if next(self.passes) > self.last:
            raise torch.OutOfMemoryError("the device is full")
        return self.layers(x)  # type: ignore[no-any-return]


def test_memory_that_is_too_short_in_an_accelerated_pass_is_no_fault_of_a_lever() -> None:
    proven = proof(Filling(2)).proven(Acceleration(CPU, "fp32", levers=(ConstantBorder(), FusedSteps())))
    assert not proven.levers
    assert "there is no proof: memory is short" in proven.note


class Noisy(nn.Module):
    """Has a gradient that is zero but for roundings: of the bias in front of a normalization."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 7, stride=2), nn.BatchNorm2d(16), nn.Tanh(), nn.Flatten())
        self.last = nn.Linear(16 * 13 * 13, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x))  # type: ignore[no-any-return]


def test_roundings_of_a_gradient_that_is_zero_are_no_difference() -> None:
    proven = proof(Noisy()).proven(Acceleration(CPU, "fp32", levers=(ConstantBorder(), FusedSteps())))
    assert proven.note == ""


class Counting(nn.Module):
    """Counts its forward passes, and those of its copies, by the type of their numbers."""

    def __init__(self, passes: list[torch.dtype]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(6272, 704), nn.Linear(704, 10)
        )
        self.count: Callable[[torch.dtype], None] = passes.append

    def __deepcopy__(self, memo: dict[int, Any]) -> Counting:
        copied = Counting([])
        copied.layers, copied.count = copy.deepcopy(self.layers, memo), self.count
        return copied

    def forward(self, x: Tensor) -> Tensor:
        self.count(x.dtype)
        return self.layers(x)  # type: ignore[no-any-return]


def test_a_proof_takes_two_steps_and_one_for_each_lever_and_one_in_float64_if_something_is_wrong() -> None:
    passes: list[torch.dtype] = []
    given = proof(Counting(passes))
    given.proven(Acceleration(CPU, "fp32", levers=(LinearProducts("blocks"), FusedSteps())))
    assert passes == 4 * [torch.float32], "two steps, each with an evaluation"
    passes.clear()
    levers = (BrokenBorder(), ConstantBorder(), BrokenFusion())
    proven = given.proven(Acceleration(CPU, "fp32", levers=levers))
    assert len(proven.dropped) == 2
    assert passes.count(torch.float64) == 2
    assert passes.count(torch.float32) == 2 * (2 + len(levers))


def test_a_proof_computes_with_the_threads_of_its_trial() -> None:
    model, num_threads, seen = Counting([]), torch.get_num_threads(), set()
    model.count = lambda _: seen.add(torch.get_num_threads())
    acceleration = Acceleration(CPU, "fp32", levers=(BrokenBorder(),), num_threads=num_threads + 1)
    acceleration.apply()
    try:
        assert proof(model).proven(acceleration).dropped
    finally:
        replace(acceleration, num_threads=num_threads).apply()
    assert seen == {num_threads + 1}


@pytest.mark.parametrize("kind", ["numpy", "shared"])
def test_weights_in_memory_that_is_not_torchs_own_keep_their_levers(kind: str) -> None:
    model = convolutional()
    if kind == "shared":
        model.share_memory()
    else:
        numbers = np.random.default_rng(0).standard_normal((10, 1408), dtype=np.float32)
        model[-1].weight.data = torch.from_numpy(numbers)  # type: ignore[index,union-attr]
    proven = proof(model).proven(Acceleration(CPU, "fp32", levers=(LinearProducts("blocks"), FusedSteps())))
    assert proven.note == ""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_that_are_hardly_more_than_rounding_are_no_reason_to_drop_a_lever(precision: Precision) -> None:
    """One channel behind a normalisation has gradients of the size of its epsilon."""
    dropped = []
    for seed in range(4):
        torch.manual_seed(seed)
        convolutions = (nn.Conv2d(1, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1))
        model = nn.Sequential(*convolutions, nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        model.append(nn.Linear(32, 10))
        images = torch.full((16, 1, 28, 28), -2.0)
        images[:, :, 4:24, 4:24].normal_()
        case = Case(model, sgd(model.parameters()), 16, Window(Span(4, 24), Span(4, 24)))
        levers = (ConstantBorder(), FusedSteps())
        given = Proof(case, images, torch.arange(16) % 10, seed)
        dropped.append(given.proven(Acceleration(CPU, precision, levers=levers)).note)
    assert dropped == [""] * 4


def test_in_bf16_a_deep_network_keeps_channels_last_whatever_the_seed() -> None:
    import timm

    for seed in range(2):
        torch.manual_seed(seed)
        model = timm.create_model("mobilenetv3_small_050", num_classes=10)
        case = Case(model, sgd(model.parameters()), 16)
        given = Proof(case, torch.randn(16, 3, 64, 64), torch.arange(16) % 10, seed)
        assert given.proven(Acceleration(CPU, "bf16", levers=(ChannelsLast(), FusedSteps()))).note == ""
