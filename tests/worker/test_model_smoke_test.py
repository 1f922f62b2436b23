"""A fresh model tried in both modes: what cannot be trained is told before the first step, with a way out."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn

import benchbench as bb
from benchbench.errors import ModelError
from benchbench.worker.accelerate import accelerate
from benchbench.worker.model_smoke_test import smoke_test_model

CPU = torch.device("cpu")


class Given(bb.Model, name="given"):
    """A model of a test; the check only wants its name."""

    def build(self, data: bb.DataSpec) -> nn.Module:
        raise NotImplementedError


class WithHeads(nn.Module):
    """Returns auxiliary outputs in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> Any:
        logits = self.last(x.flatten(1))
        return (logits, logits) if self.training else logits


class FixedSize(nn.Module):
    """Takes images of one size, as vision transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] == 224, f"Input height ({x.shape[2]}) doesn't match model (224)."
        return self.last(x.flatten(1))  # type: ignore[no-any-return]


def normalizing() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 10), nn.BatchNorm1d(10), nn.Dropout())


def check(model: nn.Module, *, num_images: int = 12, batch_size: int = 4) -> None:
    images = torch.randn(batch_size, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    smoke_test_model(model, images, accelerate(CPU, "fp32"), num_images=num_images, num_classes=10, plugin=Given())


def test_outputs_besides_the_logits_are_refused_with_a_way_out() -> None:
    with pytest.raises(ModelError, match="model 'given' returns a tuple in training mode") as caught:
        check(WithHeads())
    assert "without auxiliary outputs" in caught.value.hint


def test_a_last_batch_of_one_image_is_refused_if_the_model_cannot_normalize_it() -> None:
    with pytest.raises(
        ModelError, match=r"the last batch of an epoch, which has 1 image: .*more than 1 value"
    ) as caught:
        check(normalizing(), num_images=13)
    assert "--batch-size 5" in caught.value.hint
    check(normalizing(), num_images=14)
    check(nn.Sequential(nn.Flatten(), nn.Linear(12, 10)), num_images=13)


def test_images_of_another_size_than_a_model_takes_are_refused_with_a_way_out() -> None:
    with pytest.raises(ModelError, match=r"doesn't match model \(224\)") as caught:
        check(FixedSize())
    assert "--set dataset.image_size=SIZE" in caught.value.hint


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Sequential(nn.ReLU(), nn.Linear(13, 10))),
            " in layer '1.1', Linear(in_features=13, out_features=10, bias=True)",
        ),
        (nn.Sequential(nn.Identity(), FixedSize()), " in layer '1', FixedSize"),
        (FixedSize(), ""),
    ],
)
def test_the_layer_that_a_model_failed_in_is_named(model: nn.Module, expected: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(model)
    assert expected in caught.value.message
    assert (" in layer " in caught.value.message) == bool(expected)


class NotPrepared(nn.Module):
    """Forgets ``super().__init__()``."""

    def __init__(self) -> None: ...


def test_a_layer_that_was_never_prepared_is_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match="has no attribute '_"):
        check(nn.Sequential(nn.Flatten(), NotPrepared()))


def test_a_check_leaves_the_model_and_the_random_generators_as_they_were() -> None:
    model = normalizing()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    check(model)
    assert torch.rand(()) == expected
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_layers_that_wait_for_their_inputs_know_them_afterwards() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    check(model)
    assert model[1].weight.shape == (10, 12)


class Silent(nn.Sequential):
    """Its train() returns nothing, as that of some backbones does."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]  # noqa: FBT002 - as in torch
        super().train(mode)


def test_layers_that_normalize_may_wait_for_their_inputs_too() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))
    check(model)
    assert model[1].running_mean.tolist() == [0, 0, 0, 0]
    assert model[1].num_batches_tracked == 0


def test_buffers_may_be_sparse() -> None:
    model = normalizing()
    model.register_buffer("edges", torch.eye(3).to_sparse())
    check(model)
    assert torch.equal(model.get_buffer("edges").to_dense(), torch.eye(3))


class Counting(nn.Module):
    """Sets a new buffer in training, and cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 10)
        self.lock = threading.Lock()
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = self.seen + len(x)
        return self.last(x.flatten(1))  # type: ignore[no-any-return]


def test_buffers_that_are_set_anew_are_put_back() -> None:
    model = Counting()
    check(model)
    assert model.seen == 0


def test_a_model_whose_train_returns_nothing_is_as_good_as_any() -> None:
    check(Silent(nn.Flatten(), nn.Linear(12, 10)))


class Masked(nn.Module):
    """Asks for a gradient in its forward pass while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = x.flatten(1)
        if self.training:
            seen = features.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.last(seen).square().sum(), seen)
            features = features * (gradient > 0)
        return self.last(features)  # type: ignore[no-any-return]


def test_a_model_may_ask_for_gradients_in_its_training_pass() -> None:
    model = Masked()
    check(model)
    assert all(parameter.grad is None for parameter in model.parameters())


class FromHook(nn.Module):
    """Takes its features from a hook, which is a function and so stays that of the original in a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.last = nn.Sequential(nn.Flatten(), nn.Linear(12, 8)), nn.Linear(8, 10)
        self.backbone[1].register_forward_hook(lambda _, __, output: setattr(self, "features", output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.backbone(x)
        return self.last(self.features)  # type: ignore[no-any-return]


def test_a_model_whose_copy_does_not_work_is_tried_itself() -> None:
    check(FromHook())


class CountsImages(nn.Module):
    """Returns a number."""

    def forward(self, x: torch.Tensor) -> int:
        return x.shape[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
def test_a_network_in_torchscript_is_as_good_as_any() -> None:
    check(torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(12, 10))))
    with pytest.raises(ModelError, match=r"model 'given': forward\(\) must return a torch.Tensor, not int"):
        check(torch.jit.script(CountsImages()))
