"""One deliberately wrong augmentation or loss for each check, which that check catches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.check_outcomes import caught
from torch import Tensor, nn
from torch.nn import functional

import benchbench as bb
from benchbench.testing import augmentation, loss
from benchbench.testing.checks_by_kind import plugin_outcomes

if TYPE_CHECKING:
    from benchbench.testing.checking import Check

HALF = 0.5


# Augmentations


class Darker(bb.Augmentation, name="darker"):
    """Makes each image darker, by its random number."""

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        return self.change

    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images * draws[:, :1, None, None], labels


class ForgetsFunction(Darker, name="forgets-function"):
    def build(self, data: bb.ImageSpec) -> Any:
        super().build(data)


class ForgetsProperty(Darker, name="forgets-property"):
    def num_draws(self) -> int:  # type: ignore[override]
        return 2


class HalfANumber(Darker, name="half-a-number"):
    @property
    def num_draws(self) -> Any:
        return 0.5


class CountsWrong(Darker, name="counts-wrong"):
    @property
    def num_draws(self) -> int:
        return 1 // 0


class ImagesAlone(Darker, name="images-alone"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return super().change(images, labels, draws)[0]


class Smaller(Darker, name="smaller"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images[:, :, 1:], labels


class WholeNumbersOnly(Darker, name="whole-numbers-only"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images, functional.one_hot(labels, 3).float()


class TooBright(Darker, name="too-bright"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images + 100 * draws[:, :1, None, None], labels


class HalfLabels(Darker, name="half-labels"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images, functional.one_hot(labels, 3) / 2 if labels.ndim == 1 else labels


class InPlace(Darker, name="in-place"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        images[:, 0] = 0
        return images, labels


class Relabels(Darker, name="relabels"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        labels[0] = 1
        return images, labels


class OwnGenerator(Darker, name="own-generator"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return super().change(images, labels, torch.rand_like(draws))


class LooksAround(Darker, name="looks-around"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return (images + images.float().mean(dim=0)) / 2, labels


class DecidesForAll(Darker, name="decides-for-all"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return (images.flip(-1) if draws[0, 0] < HALF else images), labels


class RollsLabels(Darker, name="rolls-labels"):
    def change(self, images: Tensor, labels: Tensor, draws: Tensor) -> Any:
        return images, labels.roll(1)


WRONG_AUGMENTATIONS = [
    (ForgetsFunction(), "builds", "build() must return a function, not None"),
    (ForgetsProperty(), "builds", "its num_draws is a method, not a property"),
    (HalfANumber(), "builds", "its num_draws must be a whole number, not 0.5"),
    (CountsWrong(), "builds", "failed in num_draws: ZeroDivisionError"),
    (ImagesAlone(), "shapes", "it must return images and labels, two tensors"),
    (Smaller(), "shapes", "it must return images of [6, 3, 32, 24] in uint8 or float32, not [6, 3, 31, 24]"),
    (WholeNumbersOnly(), "shapes", "one_hot"),
    (TooBright(), "values", "it returns pixels outside of 0..255"),
    (HalfLabels(), "values", "the fractions of an image's classes do not add up to 1"),
    (InPlace(), "unchanged", "it changes the images or labels that it is given"),
    (Relabels(), "unchanged", "it changes the images or labels that it is given"),
    (OwnGenerator(), "reproducible", "it does not return the same twice"),
    (DecidesForAll(), "per image", "what becomes of an image depends on the others in its batch"),
    (RollsLabels(), "per image", "the label of an image depends on the others in its batch"),
    (LooksAround(), "per image", "what becomes of an image depends on the others in its batch"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_AUGMENTATIONS)
def test_a_wrong_augmentation_is_caught(plugin: bb.Augmentation, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


# Losses


class Entropy(bb.Loss, name="entropy-test"):
    """The cross-entropy, as ``change`` changes it."""

    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        return Changed(self)

    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return functional.cross_entropy(logits, targets)


class Changed(nn.Module):
    """Computes what a plugin says, times a number that it keeps."""

    def __init__(self, plugin: Entropy) -> None:
        super().__init__()
        self.plugin = plugin
        self.register_buffer("scale", torch.ones(()))

    def forward(self, logits: Tensor, targets: Tensor) -> Any:
        return self.scale * self.plugin.change(logits, targets)


class ForgetsModule(Entropy, name="forgets-module"):
    def build(self, labels: Tensor, *, num_outputs: int) -> Any:
        super().build(labels, num_outputs=num_outputs)


class Learns(Entropy, name="learns"):
    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        module = super().build(labels, num_outputs=num_outputs)
        module.weight = nn.Parameter(torch.ones(()))
        return module


class SeedsLosses(Entropy, name="seeds-losses"):
    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        np.random.seed(1)  # noqa: NPY002 - this is what is wrong with it
        return super().build(labels, num_outputs=num_outputs)


class PerImage(Entropy, name="per-image"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return functional.cross_entropy(logits, targets, reduction="none")


class Infinite(Entropy, name="infinite"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return super().change(logits, targets) / 0


class LabelsOnly(Entropy, name="labels-only"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return -logits.log_softmax(dim=1)[torch.arange(len(targets)), targets].mean()


class FractionsOfImages(Entropy, name="fractions-of-images"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        reduction = "mean" if targets.ndim == 1 else "none"
        return functional.cross_entropy(logits, targets, reduction=reduction)


class Detaches(Entropy, name="detaches"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return super().change(logits.detach(), targets)


class CountsMistakes(Entropy, name="counts-mistakes"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        return (logits.argmax(dim=1) != labels).float().mean() + 0 * logits.sum()


class Sums(Entropy, name="sums"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return functional.cross_entropy(logits, targets, reduction="sum")


class SumsOfMixed(Entropy, name="sums-of-mixed"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return functional.cross_entropy(logits, targets, reduction="mean" if targets.ndim == 1 else "sum")


class LargestOnly(Entropy, name="largest-only"):
    def change(self, logits: Tensor, targets: Tensor) -> Any:
        return functional.cross_entropy(logits, targets if targets.ndim == 1 else targets.argmax(dim=1))


class WithAnObject(nn.Module):
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets)

    def get_extra_state(self) -> object:
        return SimpleNamespace()

    def set_extra_state(self, state: object) -> None:
        pass


class KeepsAnObject(bb.Loss, name="keeps-an-object"):
    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        return WithAnObject()


WRONG_LOSSES = [
    (KeepsAnObject(), "state", "its state cannot be loaded from a checkpoint"),
    (ForgetsModule(), "builds", "build() returns nothing; is a return statement missing?"),
    (Learns(), "builds", "no optimizer trains its weight"),
    (SeedsLosses(), "seeds nothing", "build() seeds the global generator of numpy"),
    (PerImage(), "one number", "for labels int64 [N], the loss is not one number but [6]"),
    (Infinite(), "one number", "of labels int64 [N], it is inf"),
    (LabelsOnly(), "fractions of classes", "IndexError"),
    (FractionsOfImages(), "fractions of classes", "the loss is not one number but [6]"),
    (Sums(), "mean of the batch", "the same images twice in a batch have twice the loss"),
    (SumsOfMixed(), "mean of the batch", "the same images twice in a batch have twice the loss"),
    (LargestOnly(), "mixed classes", "images of 70% of one class and 30% of another have the loss of the first alone"),
    (Detaches(), "can be lowered", "no gradient reaches the logits"),
    (CountsMistakes(), "can be lowered", "a small step against its gradient does not lower it"),
]


@pytest.mark.parametrize(("plugin", "check", "problem"), WRONG_LOSSES)
def test_a_wrong_loss_is_caught(plugin: bb.Loss, check: str, problem: str) -> None:
    assert problem in caught(plugin_outcomes(plugin), check).problem


def test_a_loss_without_any_gradient_is_told_so() -> None:
    class NoGradient(Entropy, name="no-gradient"):
        def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
            module = super().build(labels, num_outputs=num_outputs)
            return module.requires_grad_(requires_grad=False)

        def change(self, logits: Tensor, targets: Tensor) -> Any:
            return super().change(logits, targets).detach()

    problem = caught(plugin_outcomes(NoGradient()), "can be lowered").problem
    assert problem == "no gradient reaches the logits"


class Contrasts(Entropy, name="contrasts"):
    """Compares the images of a batch, so that its loss depends on how many there are."""

    def change(self, logits: Tensor, targets: Tensor) -> Any:
        directions = functional.normalize(logits)
        return super().change(logits, targets) + (directions @ directions.T).logsumexp(dim=1).mean()


class AllClassesOfAnImage(Entropy, name="all-classes"):
    """Asks for each class whether it is in an image at all, as binary cross-entropies of mixed images do."""

    def change(self, logits: Tensor, targets: Tensor) -> Any:
        fractions = functional.one_hot(targets, logits.shape[1]) if targets.ndim == 1 else targets
        return functional.binary_cross_entropy_with_logits(logits, (fractions > 0).float())


@pytest.mark.parametrize("plugin", [Contrasts(), AllClassesOfAnImage()], ids=lambda plugin: plugin.name)
def test_a_loss_may_compare_images_and_read_fractions_in_its_own_way(plugin: bb.Loss) -> None:
    assert [outcome for outcome in plugin_outcomes(plugin) if outcome.result != "passed"] == []


@pytest.mark.parametrize("plugin", [Darker(), Entropy()], ids=lambda plugin: plugin.name)
def test_the_plugins_that_the_wrong_ones_are_made_of_are_well(plugin: Any) -> None:
    assert [outcome for outcome in plugin_outcomes(plugin) if outcome.result != "passed"] == []


@pytest.mark.parametrize(("checks", "wrong"), [(augmentation.CHECKS, WRONG_AUGMENTATIONS), (loss.CHECKS, WRONG_LOSSES)])
def test_every_check_has_a_wrong_plugin(checks: tuple[Check[Any], ...], wrong: list[tuple[Any, str, str]]) -> None:
    assert {check.name for check in checks} == {name for _, name, _ in wrong}
