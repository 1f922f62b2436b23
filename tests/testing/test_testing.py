"""The conformance checks: every shipped plugin passes, and each broken promise is named."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from support.paths import PLUGINS
from support.wrapped_models import model_of
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

import benchbench as bb
from benchbench.plugin.registry import Registry
from benchbench.testing import (
    check_augmentation,
    check_dataset,
    check_loss,
    check_model,
    check_optimizer,
    check_scheduler,
)

if TYPE_CHECKING:
    from pathlib import Path

TINY = PLUGINS / "tiny.py"
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "lion", "muon", "timm")
SCHEDULERS = ("constant", "step", "cosine", "exponential", "multistep", "onecycle", "plateau", "linear")
AUGMENTATIONS = (
    *("none", "flip", "crop_flip", "random_resized_crop", "trivial_augment", "rand_augment"),
    *("color_jitter", "random_erasing", "mixup", "cutmix"),
)
LOSSES = ("cross_entropy", "bce")
SMALL = bb.DataSpec(num_channels=1, image_size=4, num_classes=3)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([TINY])


def test_the_digits_dataset_conforms(registry: Registry) -> None:
    check_dataset(registry.get("dataset", "digits")())


@pytest.mark.slow
def test_alexnet_conforms(registry: Registry) -> None:
    check_model(registry.get("model", "alexnet")(), bb.DataSpec(1, 63, 10))


def test_the_resnets_for_cifar_conform_and_have_as_many_parameters_as_in_the_paper(registry: Registry) -> None:
    plugin, data = registry.get("model", "cifar_resnet"), bb.DataSpec(3, 32, 10)
    check_model(plugin(), data)
    millions = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
    for layers, number in millions.items():
        network = plugin(layers=layers).build(data)  # type: ignore[attr-defined, call-arg]
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count / 1e6 == pytest.approx(number, abs=0.05 if layers == 110 else 0.006)


def test_the_tiny_example_conforms(registry: Registry) -> None:
    check_model(registry.get("model", "tiny")())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet", "timm", "torchvision"])
def test_models_of_libraries_conform(registry: Registry, name: str) -> None:
    check_model(registry.get("model", name)(), bb.DataSpec(3, 64, 10))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_shipped_optimizers_conform(registry: Registry, name: str) -> None:
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon: it came with 2.9")
    check_optimizer(registry.get("optimizer", name)())


@pytest.mark.parametrize("name", SCHEDULERS)
def test_shipped_schedulers_conform(registry: Registry, name: str) -> None:
    check_scheduler(registry.get("scheduler", name)())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shipped_augmentations_conform(registry: Registry, name: str) -> None:
    check_augmentation(registry.get("augmentation", name)())


@pytest.mark.parametrize("name", LOSSES)
def test_shipped_losses_conform(registry: Registry, name: str) -> None:
    check_loss(registry.get("loss", name)())


def test_every_shipped_plugin_has_a_conformance_test(registry: Registry) -> None:
    models = {"alexnet", "cifar_resnet", "tiny", "resnet", "timm", "torchvision"}
    # Datasets need images: tests/shipped_plugins/ makes some and checks the plugins there.
    tested = models.union(AUGMENTATIONS, LOSSES, OPTIMIZERS, SCHEDULERS)
    assert {name for kind, name in registry.plugins if kind != "dataset"} == tested


class Images(bb.Dataset, name="images"):
    """Three made-up splits, with something put wrong by ``change``."""

    change: ClassVar[dict[str, Any]] = {}

    def load(self, root: Path) -> bb.Splits:
        generator = torch.Generator().manual_seed(0)
        train, val, good = (
            {
                "images": torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=generator),
                "labels": torch.tensor([0, 1, 0, 1]),
            }
            for _ in range(3)
        )
        test = bb.Split(**good | {key: value for key, value in self.change.items() if key != "class_names"})
        return bb.Splits(bb.Split(**train), bb.Split(**val), test, self.change.get("class_names", ("a", "b")))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": torch.zeros(4, 3, 8, 8)}, r"test images must be a uint8 tensor \[N, C, H, W\], not float32"),
        ({"images": torch.zeros(4, 8, 8, dtype=torch.uint8)}, r"test images must be .* not uint8 \[4, 8, 8\]"),
        ({"images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8)}, "the splits have images of different shapes"),
        ({"labels": torch.tensor([0, 1, 0, 1], dtype=torch.int32)}, "test labels must be an int64 tensor"),
        ({"labels": torch.tensor([0, 1, 0, 2])}, r"test has labels 0\.\.2, but 2 class names"),
        ({"labels": torch.tensor([0, 1, 0])}, "test has 4 images but 3 labels"),
        ({"names": ("one",)}, "test has 4 images but 1 names"),
        ({"class_names": ("a", "a")}, "two classes have the same name"),
        ({"class_names": ()}, "every class needs a name"),
    ],
)
def test_a_broken_dataset_is_named_for_what_is_wrong(change: dict[str, Any], sentence: str) -> None:
    broken = type("Broken", (Images,), {"change": change, "__annotations__": {"change": ClassVar[dict[str, Any]]}})
    with pytest.raises(AssertionError, match=sentence):
        check_dataset(broken())


def test_a_dataset_whose_image_size_cuts_its_images_is_named() -> None:
    with pytest.raises(AssertionError, match=r"dataset\.image_size 4 would cut the stored images of 8x8 pixels"):
        check_dataset(Images(image_size=4))


def test_a_well_made_dataset_conforms() -> None:
    check_dataset(Images())


class Overlapping(bb.Dataset, name="overlapping"):
    """Splits of 200 images, of which the last of one are the first of the next."""

    num_shared: int = bb.param(2, "images")

    def load(self, root: Path) -> bb.Splits:
        images = torch.randint(0, 256, (600, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        begins = (0, 200 - self.num_shared, 400)
        splits = (bb.Split(images[begin : begin + 200], torch.arange(200) % 2) for begin in begins)
        return bb.Splits(*splits, ("a", "b"))


def test_a_few_images_in_two_splits_pass_with_a_warning_of_how_many() -> None:
    sentence = "dataset overlapping, disjoint splits: 2 of 200 val images are in train as well"
    with pytest.warns(UserWarning, match=f"^{sentence}$"):
        check_dataset(Overlapping())
    with pytest.raises(AssertionError, match="3 of 200 val images are in train as well"):
        check_dataset(Overlapping(num_shared=3))


class Net(nn.Module):
    """A linear network whose ``forward`` the tests below put wrong."""

    def __init__(self, num_outputs: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(16, num_outputs)
        self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(images.flatten(1))


class FewOutputs(Net):
    def __init__(self) -> None:
        super().__init__(2)


class Unreached(Net):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))


class Noisy(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(images))


class LooksAround(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images - images.mean(dim=0))


class OneByOne(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).squeeze(0)


class Unseeded(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.init.constant_(self.linear.weight, next(COUNT))


COUNT = itertools.count()
ONLY_NET = Net()


def only_net() -> nn.Module:
    return ONLY_NET


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (FewOutputs, r"output for 4 images of 3 classes has the shape \[4, 2\]"),
        (Unreached, "no gradient reaches unused"),
        (Noisy, "not the same twice"),
        (LooksAround, "depends on the others in its batch"),
        (OneByOne, r"the output for one image is \[3\]"),
        (Unseeded, "linear.weight is not the same in two builds from the same seed"),
        (only_net, "shared by two builds"),
    ],
)
def test_a_broken_model_is_named_for_what_is_wrong(make: Any, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_model(model_of(make), SMALL)


def test_a_frozen_parameter_is_no_fault() -> None:
    check_model(model_of(Net), SMALL)


def test_checking_a_model_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    check_model(model_of(Net), SMALL)
    assert torch.equal(torch.rand(3), expected)


class Still(bb.Optimizer, name="still"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.0)


class Uphill(bb.Optimizer, name="uphill"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)


class Forgetful(bb.Optimizer, name="forgetful"):
    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        class Hidden(torch.optim.Adam):
            def state_dict(self) -> dict[str, Any]:
                return super().state_dict() | {"state": {}}

        return Hidden(model.parameters(), lr=0.01)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (Still(), "a step changes no parameter"),
        (Uphill(), "do not lower the loss"),
        (Forgetful(), "the next step changes 0.weight differently"),
    ],
)
def test_a_broken_optimizer_is_named_for_what_is_wrong(optimizer: bb.Optimizer, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_optimizer(optimizer)


class Plateau(bb.Scheduler, name="plateau"):
    metric: ClassVar[str | None] = "val_loss"

    def build(self, optimizer: torch.optim.Optimizer, **_: int) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer, patience=0)


class Counting(bb.Scheduler, name="counting"):
    def build(self, optimizer: torch.optim.Optimizer, **_: int) -> LambdaLR:
        calls = itertools.count(1)
        return LambdaLR(optimizer, lambda _: 1 / next(calls))


class Negative(bb.Scheduler, name="negative"):
    def build(self, optimizer: torch.optim.Optimizer, **_: int) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: 1.0 - step)


def test_a_plateau_rule_is_given_its_metric() -> None:
    check_scheduler(Plateau())


@pytest.mark.parametrize(
    ("scheduler", "sentence"), [(Counting(), "resumed after 2 steps"), (Negative(), "unusable learning rates")]
)
def test_a_broken_scheduler_is_named_for_what_is_wrong(scheduler: bb.Scheduler, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_scheduler(scheduler)


class Changeable(Still, name="changeable"):
    layers: list[int] = bb.param([1], "a list, which can change")


def test_parameters_that_can_change_are_refused() -> None:
    with pytest.raises(AssertionError, match="must be values that never change"):
        check_optimizer(Changeable())
