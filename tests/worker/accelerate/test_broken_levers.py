"""Levers that are wrong on purpose: the proof drops each, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.proofs import CPU, EVERYTHING, BrokenBorder, BrokenFusion, BrokenOrder, convolutional, proof
from torch import nn

from benchbench.worker.accelerate import (
    Acceleration,
    Case,
    steps_in_place,
    winograd,
)
from benchbench.worker.accelerate.constant_border import ConstantBorder
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.linear_products import PRODUCTS, Blocks, Images
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.accelerate.winograd import Winograd

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.config.defaults import Precision
    from benchbench.worker.accelerate.lever import Layers, Lever


class BrokenProducts(Blocks):
    """Forgets the last block of rows of the weight gradient."""

    def weight_gradient(self, gradient: Tensor, x: Tensor) -> Tensor:
        product = super().weight_gradient(gradient, x)
        product[-len(product) // 32 :] = 0
        return product


class BrokenImages(Images):
    """Forgets the first image of a batch on its way back."""

    def input_gradient(self, gradient: Tensor, weight: Tensor) -> Tensor:
        product = super().input_gradient(gradient, weight)
        product[0] = 0
        return product


class BrokenUpdates(Images):
    """Takes steps with a gradient that is a little too large."""

    def weight_gradient_rows(self, gradient: Tensor, x: Tensor, *, out: Tensor) -> Tensor:
        return super().weight_gradient_rows(gradient, x, out=out).mul_(1.0001)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_broken_products_are_dropped_with_the_steps_that_need_them(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRODUCTS, "blocks", BrokenProducts())
    given = proof(convolutional())
    proven = given.proven(Acceleration(CPU, precision, levers=EVERYTHING))
    assert proven.levers == (ConstantBorder(), Winograd(), FusedSteps())
    assert "gradient of 9.weight differs by" in proven.dropped["blocks"]
    assert proven.facts()["linear"] == "torch"
    assert proven.facts()["optimizer"] == "fused"
    assert proven.facts()["dropped"] == proven.note


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_broken_products_are_dropped(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRODUCTS, "images", BrokenImages())
    levers = (LinearProducts("images"), FusedSteps())
    proven = proof(convolutional()).proven(Acceleration(CPU, precision, levers=levers))
    assert list(proven.dropped) == ["images"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_broken_steps_in_place_are_dropped_and_steps_stay_fused(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRODUCTS, "images", BrokenUpdates())
    levers = (LinearProducts("images"), FusedSteps(), StepsInPlace("images"))
    proven = proof(convolutional()).proven(Acceleration(CPU, precision, levers=levers))
    assert proven.levers == levers[:2]
    assert "9.weight" in proven.dropped["in place"]


def test_products_that_pay_only_with_broken_steps_are_dropped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRODUCTS, "images", BrokenUpdates())
    levers = (LinearProducts("images", only_with="in place"), ConstantBorder(), FusedSteps(), StepsInPlace("images"))
    proven = proof(convolutional()).proven(Acceleration(CPU, "fp32", levers=levers))
    assert proven.levers == (ConstantBorder(), FusedSteps())
    assert list(proven.dropped) == ["in place", "images"]


def test_steps_in_place_that_forget_all_blocks_but_the_first_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    step, fused = steps_in_place._step, torch._fused_sgd_

    def forgetful(*args: Any) -> None:
        blocks: list[Any] = []

        def first_block(*weights: Any, **options: Any) -> None:
            if not blocks:
                fused(*weights, **options)
            blocks.append(weights)

        with monkeypatch.context() as patch:
            patch.setattr(torch, "_fused_sgd_", first_block)
            step(*args)

    monkeypatch.setattr(steps_in_place, "_step", forgetful)
    levers = (LinearProducts("images"), FusedSteps(), StepsInPlace("images"))
    proven = proof(convolutional()).proven(Acceleration(CPU, "fp32", levers=levers))
    assert list(proven.dropped) == ["in place"]


def test_a_broken_transform_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = winograd._B.clone()
    broken[3, 2] += 0.01
    monkeypatch.setattr(winograd, "_B", broken)
    proven = proof(convolutional()).proven(Acceleration(CPU, "fp32", levers=EVERYTHING))
    assert list(proven.dropped) == ["winograd"]


@dataclass(frozen=True)
class Raising(ConstantBorder):
    """Cannot be applied."""

    def apply(self, case: Case, layers: Layers) -> Layers:
        raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_lever_that_raises_is_dropped_and_its_traceback_shown_if_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str
) -> None:
    monkeypatch.setenv("BENCH_DEBUG", debug)
    proven = proof(convolutional()).proven(Acceleration(CPU, "fp32", levers=(Raising(),)))
    assert "a mistake of ours" in proven.note
    assert ("Traceback" in capsys.readouterr().err) == bool(debug)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_broken_steps_of_adam_are_dropped(precision: Precision) -> None:
    given = proof(convolutional(), partial(torch.optim.Adam, lr=0.001))
    proven = given.proven(Acceleration(CPU, precision, levers=(LinearProducts("blocks"), BrokenFusion("lr"))))
    assert list(proven.dropped) == ["fused"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("lever", [BrokenFusion(), BrokenOrder(), BrokenBorder()], ids=lambda lever: lever.fact)
def test_another_broken_lever_is_dropped_alone(lever: Lever, precision: Precision) -> None:
    levers = (LinearProducts("blocks"), lever)
    proven = proof(convolutional()).proven(Acceleration(CPU, precision, levers=levers))
    assert proven.levers == levers[:1]
    assert list(proven.dropped) == [lever.name]


class Residual(nn.Module):
    """Begins with a branch of next to nothing, behind which weights have no gradients, or small ones."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.branch = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.last = nn.Linear(3 * 32 * 32, 10)
        nn.init.constant_(self.branch[1].weight, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.last((x + self.branch(x)).flatten(1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Deaf(ConstantBorder):
    """Forgets the gradient of a kernel."""

    def apply(self, case: Case, layers: Layers) -> Layers:
        kernel = case.model.branch[0].weight  # type: ignore[index,union-attr]
        kernel.register_hook(torch.zeros_like)  # type: ignore[union-attr,operator]
        return layers


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("scale", [0, 1e-6, 1e-4, 1])
def test_a_wrong_gradient_is_seen_behind_weights_that_begin_at_zero_or_small(
    scale: float, precision: Precision
) -> None:
    model = Residual(scale)
    proven = proof(model).proven(Acceleration(CPU, precision, levers=(Deaf(), FusedSteps())))
    assert "gradient of branch.0.weight differs" in proven.dropped[Deaf.name]
    assert (model.branch[1].weight == scale).all(), "the model itself is as it was"
