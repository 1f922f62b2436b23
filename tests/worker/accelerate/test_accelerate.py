"""Acceleration against plain torch: the same numbers, the same module, the same state."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.gradients import error, gradients
from torch import nn
from torch.nn import functional as F

from benchbench.errors import DeviceError
from benchbench.worker.accelerate import Acceleration, Case, accelerate, peak_bytes, reset_peak
from benchbench.worker.accelerate.all_levers import for_target
from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.constant_border import ConstantBorder
from benchbench.worker.accelerate.devices import (
    choose_device,
    device_versions,
    driver_version,
    has_bf16_convolutions,
    possible_precisions,
)
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.lever import ComputeTarget, Layers
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.linear_products import MIN_WEIGHTS, PRODUCTS
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.accelerate.winograd import Winograd
from benchbench.worker.batches import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchbench.config.defaults import Precision
    from benchbench.worker.accelerate.lever import Lever

CPU = torch.device("cpu")
ROWS, COLUMNS = 2048, 4096


def large_layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(COLUMNS, ROWS)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("batch_size", [2, 12, 32, 128])
def test_products_are_as_exact_as_plain_ones(name: str, batch_size: int) -> None:
    layer, x = large_layer(), torch.randn(batch_size, COLUMNS).requires_grad_()
    products = PRODUCTS[name]
    assert products.fits(x, layer.weight)
    exact = gradients(copy.deepcopy(layer).double(), x.double())
    plain = gradients(layer, x)
    with FastLayers(Layers(products=products)):
        ours = gradients(layer, x)
        assert layer(x).is_contiguous(), "so that a view of it is what it is of torch's"
    for found, usual, right in zip(ours, plain, exact, strict=True):
        assert found.shape == usual.shape
        assert error(found, right) < max(3 * error(usual, right), 1e-6)


def test_products_pass_over_what_they_were_not_made_for() -> None:
    products, layer = PRODUCTS["blocks"], large_layer()
    assert not products.fits(torch.randn(1, COLUMNS), layer.weight)
    assert not products.fits(torch.randn(1000, COLUMNS), layer.weight)
    assert not products.fits(torch.randn(3, 5, COLUMNS), layer.weight)
    assert not products.fits(torch.randn(4, COLUMNS).double(), layer.weight.double())
    assert not products.fits(torch.randn(4, COLUMNS), torch.randn(COLUMNS, ROWS).t())
    assert not products.fits(torch.randn(4, 100), torch.randn(100, 100))
    odd = torch.randn(ROWS + 1, COLUMNS)
    assert odd.numel() > MIN_WEIGHTS
    assert not products.fits(torch.randn(4, COLUMNS), odd)
    tokens = torch.randn(3, 5, COLUMNS)
    with FastLayers(Layers(products=products)):
        assert torch.equal(layer(tokens), F.linear(tokens, layer.weight, layer.bias))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(tokens).dtype == torch.bfloat16


def test_large_layers_stay_in_full_precision_under_autocast() -> None:
    layer, x = large_layer(), torch.randn(4, COLUMNS)
    with torch.autocast("cpu", dtype=torch.bfloat16), FastLayers(Layers(products=PRODUCTS["blocks"]), is_mixed=True):
        large, small = layer(x.bfloat16()), nn.Linear(8, 8)(torch.randn(4, 8))
    assert large.dtype == torch.float32
    assert small.dtype == torch.bfloat16


def test_what_a_model_compiles_itself_stays_one_graph() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    x = torch.randn(2, 3, 8, 8)
    compiled = torch.compile(layers, backend="eager", fullgraph=True)
    with FastLayers(Layers(products=PRODUCTS["blocks"], window=Window(Span(1, 7), Span(1, 7))), x):
        logits = compiled(x)
    assert torch.equal(logits, layers(x))


def test_a_models_own_region_of_autocast_keeps_its_precision() -> None:
    layer, x = large_layer(), torch.randn(4, COLUMNS)
    with FastLayers(Layers(products=PRODUCTS["blocks"])):
        assert layer(x).dtype == torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16


def tied_by_their_data() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    model[1].weight.data = model[0].weight.data
    return model


def in_a_flat_buffer() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    flat = torch.cat([layer.weight.detach().flatten() for layer in model])
    for layer, part in zip(model, flat.chunk(2), strict=True):
        layer.weight.data = part.view_as(layer.weight)
    return model


def with_a_view() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(8, 8, 3))
    model.register_buffer("kernel", model[0].weight.detach()[0])
    return model


@pytest.mark.parametrize("make", [tied_by_their_data, in_a_flat_buffer, with_a_view])
def test_kernels_that_share_their_memory_stay_where_they_are(make: Callable[[], nn.Sequential]) -> None:
    model = make()
    before = [weight.data_ptr() for weight in model.parameters()]
    case = Case(model, torch.optim.SGD(model.parameters(), lr=0.1), 4)
    fitted = Acceleration(CPU, "bf16", levers=(ChannelsLast(),)).fitted(case).applied(case)
    assert [weight.data_ptr() for weight in model.parameters()] == before
    assert fitted.facts()["memory_format"] == "contiguous"


class OfAnAuthor(torch.optim.SGD):
    """May view gradients as it likes."""


def test_gradients_lie_as_an_unknown_optimizer_expects_them() -> None:
    model = nn.Conv2d(8, 8, 3)
    case = Case(model, OfAnAuthor(model.parameters(), lr=0.1), 4)
    assert Acceleration(CPU, "bf16", levers=(ChannelsLast(),)).fitted(case).levers == ()


def test_a_model_keeps_its_parameters_names_and_state() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
    before, state = dict(model.named_parameters()), {name: value.clone() for name, value in model.state_dict().items()}
    levers = (LinearProducts("blocks"), Winograd(), ChannelsLast(), FusedSteps())
    acceleration = Acceleration(CPU, "fp32", levers=levers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    case = Case(model, optimizer, 4)
    fitted = acceleration.fitted(case).applied(case)
    assert all(dict(model.named_parameters())[name] is parameter for name, parameter in before.items())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert fitted.facts()["linear"] == "torch", "no layer is large"
    assert fitted.facts()["convolutions"] == "torch", "no layer is wide"
    wide = nn.Conv2d(192, 192, 3, padding=1)
    assert acceleration.fitted(Case(wide, optimizer, 4)).facts()["convolutions"] == "winograd"
    assert fitted.facts()["memory_format"] == "channels_last"


@pytest.mark.parametrize(
    ("make", "is_fused"),
    [
        (lambda weights: torch.optim.SGD(weights, lr=0.1), True),
        (lambda weights: torch.optim.AdamW(weights, lr=0.1), True),
        (lambda weights: torch.optim.SGD(weights, lr=0.1, foreach=True), False),
        (lambda weights: torch.optim.RMSprop(weights, lr=0.1), False),
        (lambda weights: Lazy(weights, lr=0.1), False),
    ],
    ids=["sgd", "adamw", "an author's choice", "no fused step", "a subclass"],
)
def test_known_optimizers_take_fused_steps(make: Callable[..., torch.optim.Optimizer], *, is_fused: bool) -> None:
    model = nn.Linear(2, 2)
    optimizer = make(model.parameters())
    case = Case(model, optimizer, 4)
    fitted = Acceleration(CPU, "fp32", levers=(FusedSteps(),)).fitted(case).applied(case)
    assert bool(optimizer.param_groups[0].get("fused")) is is_fused
    assert fitted.facts()["optimizer"] == ("fused" if is_fused else "as built")


class Lazy(torch.optim.SGD):
    """An optimizer of a stranger."""


@pytest.mark.parametrize(
    "levers",
    [
        (),
        (FusedSteps(),),
        (LinearProducts("images"), ConstantBorder(), Winograd(), ChannelsLast()),
        (LinearProducts("images"), FusedSteps(), StepsInPlace("images")),
    ],
)
def test_an_interrupted_trial_goes_on_as_it_was_recorded(levers: tuple[Lever, ...]) -> None:
    began = Acceleration(CPU, "fp32", levers=levers)
    here = Acceleration(CPU, "fp32", levers=(LinearProducts("blocks"), Winograd(), FusedSteps()))
    assert here.as_recorded(began.facts(), num_threads=7) == replace(began, num_threads=7)
    elsewhere = began.facts() | {"device": "cuda:0"}
    assert here.as_recorded(elsewhere, num_threads=7) == here


def test_off_is_what_a_loop_by_hand_computes() -> None:
    off = accelerate(CPU, "fp32", mode="off")
    assert not off.levers
    assert off.memory_format == torch.contiguous_format
    assert off.facts()["accelerate"] == "off"
    assert set(off.facts().values()) == {"off", "fp32", "cpu", "torch", "contiguous", "as built"}


def test_a_precision_without_arithmetic_is_refused_with_those_that_have_one() -> None:
    assert ("bf16" in possible_precisions(CPU)) == has_bf16_convolutions()
    with pytest.raises(DeviceError, match="tf32 is not possible on cpu") as caught:
        accelerate(CPU, "tf32")
    assert caught.value.hint.startswith("it can do fp32")


@pytest.mark.parametrize(
    ("has_kernels", "has_avx512", "has_instructions", "expected"),
    [
        (True, True, True, True),
        (True, True, False, False),
        (True, False, False, True),
        (False, True, False, False),
        (False, False, False, False),
    ],
    ids=["Zen 4", "Skylake", "ARM or AVX-NE-CONVERT", "no oneDNN", "AVX2"],
)
def test_bf16_by_conversion_is_no_arithmetic(
    monkeypatch: pytest.MonkeyPatch, *, has_kernels: bool, has_avx512: bool, has_instructions: bool, expected: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_kernels)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: has_avx512)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    assert has_bf16_convolutions() is expected


def test_a_border_is_recorded_where_something_is_convolved() -> None:
    window = Window(Span(43, 107), Span(43, 107))
    for layer, facts in ((nn.Conv2d(3, 8, 3), "once for all images"), (nn.Linear(3, 8), "torch")):
        case = Case(layer, torch.optim.SGD(layer.parameters(), lr=0.1), 4, window)
        fitted = Acceleration(CPU, "fp32", levers=(ConstantBorder(),)).fitted(case)
        assert fitted.facts()["border"] == facts


def test_the_peak_of_memory_is_that_since_it_was_reset() -> None:
    reset_peak(CPU)
    before = peak_bytes(CPU)
    block = torch.ones(50_000_000)
    during = peak_bytes(CPU)
    del block
    reset_peak(CPU)
    if during == peak_bytes(CPU):
        pytest.skip("this system's high-water mark cannot be reset")
    assert during - before > 150e6
    assert peak_bytes(CPU) < during - 100e6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_gpu_takes_the_same_steps_accelerated(*, compiled: bool) -> None:
    device = torch.device("cuda")
    models = []
    for acceleration in (Acceleration(device, "fp32"), accelerate(device, "fp32", compiled=compiled)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 900, 10)).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        case = Case(model, optimizer, 8)
        fitted = acceleration.fitted(case).applied(case)
        forward, chance = fitted.forward(model), torch.Generator().manual_seed(1)
        for _ in range(20):
            images = torch.randn(8, 3, 32, 32, generator=chance).to(device, memory_format=fitted.memory_format)
            optimizer.zero_grad()
            with fitted.context():
                loss = F.cross_entropy(forward(images), torch.arange(8, device=device))
            loss.backward()
            optimizer.step()
        models.append(model)
    assert fitted.facts()["memory_format"] == "contiguous"
    assert fitted.facts()["optimizer"] == "fused"
    for plain, ours in zip(*(model.parameters() for model in models), strict=True):
        assert error(ours, plain.double()) < 1e-5


@pytest.mark.parametrize(
    ("device_type", "instructions", "precision", "is_last"),
    [
        ("cuda", "AVX2", "fp32", False),
        ("cuda", "AVX2", "tf32", True),
        ("cuda", "AVX2", "bf16", True),
        ("cpu", "AVX512", "fp32", False),
        ("cpu", "AVX512", "bf16", True),
        ("cpu", "AMX", "bf16", False),
        ("cpu", "AVX2", "bf16", False),
        ("mps", "DEFAULT", "fp32", False),
    ],
)
def test_channels_are_last_where_it_is_faster_and_no_less_exact(
    device_type: str, instructions: str, precision: Precision, *, is_last: bool
) -> None:
    assert (ChannelsLast.for_target(ComputeTarget(device_type, instructions, precision)) is not None) is is_last


@pytest.mark.parametrize(
    ("instructions", "precision", "optimizer", "reads_gradients", "is_faster"),
    [
        ("AMX", "fp32", torch.optim.SGD, False, True),
        ("AMX", "fp32", torch.optim.SGD, True, False),
        ("AMX", "fp32", torch.optim.Adam, False, False),
        ("AMX", "bf16", torch.optim.Adam, False, True),
        ("AVX512", "fp32", torch.optim.Adam, False, True),
        ("DEFAULT", "fp32", torch.optim.SGD, False, False),
    ],
)
def test_products_are_used_where_they_were_measured_to_be_faster(
    instructions: str,
    precision: Precision,
    optimizer: type[torch.optim.Optimizer],
    *,
    reads_gradients: bool,
    is_faster: bool,
) -> None:
    layer = large_layer()
    case = Case(layer, optimizer(layer.parameters()), 12, reads_gradients=reads_gradients)
    chosen = Acceleration(CPU, precision, levers=for_target(ComputeTarget("cpu", instructions, precision))).fitted(case)
    assert any(isinstance(lever, LinearProducts) for lever in chosen.levers) is is_faster


class Wrapped(torch.optim.Optimizer):
    """An optimizer around another that never called ``Optimizer.__init__``, as some packages have."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner

    @property
    def param_groups(self) -> Any:
        return self.inner.param_groups


@pytest.mark.parametrize("instructions", ["AMX", "AVX512", "AVX2"])
def test_an_optimizer_without_hooks_of_its_own_is_left_alone(instructions: str) -> None:
    layer = large_layer()
    case = Case(layer, Wrapped(torch.optim.SGD(layer.parameters(), lr=0.1)), 12)
    levers = for_target(ComputeTarget("cpu", instructions, "fp32"))
    assert Acceleration(CPU, "fp32", levers=levers).fitted(case).facts()["optimizer"] == "as built"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_peak_of_a_gpu_is_that_since_it_was_reset() -> None:
    device = torch.device("cuda")
    block = torch.ones(50_000_000, device=device)
    during = peak_bytes(device)
    del block
    reset_peak(device)
    assert peak_bytes(device) < during - 100e6


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC 13",
            "550.54.15",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build", "570.86.10"),
        ("nothing of the kind", ""),
    ],
)
def test_the_version_of_nvidias_driver_is_read_from_its_file(tmp_path: Path, text: str, version: str) -> None:
    path = tmp_path / "version"
    assert driver_version(path) == ""
    path.write_text(text, encoding="utf-8")
    assert driver_version(path) == version


def test_a_processor_has_no_driver() -> None:
    assert device_versions(CPU) == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_versions_of_a_gpu_are_told() -> None:
    assert device_versions(torch.device("cuda")).keys() >= {"cuda", "cudnn"}


def test_the_gpu_that_is_asked_for_is_the_one_that_code_without_a_device_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]
