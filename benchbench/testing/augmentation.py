"""Checks of an augmentation: what becomes of images and labels, and that only the random numbers decide it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from benchbench.plugin.augmentation import ImageSpec, batch_problem
from benchbench.plugin.failures import failures_named
from benchbench.testing import parameters
from benchbench.testing.checking import BrokenPromiseError, check, outcomes, raise_failures, require
from benchbench.worker.augmentation import num_draws_of
from benchbench.worker.seeds import random_states_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchbench.plugin.augmentation import Augment, Augmentation
    from benchbench.protocol.plugin_check_messages import CheckOutcome

NUM_IMAGES, NUM_CLASSES = 6, 3
PHOTOS = ImageSpec(3, 32, 24, num_classes=NUM_CLASSES, mean=(0.485, 0.456, 0.406))
BRIGHTEST = 255
_DRAWS = "take all randomness from draws, a row for each image"


class AugmentationSubject:
    """An augmentation, and a batch of noise that is the same each time."""

    def __init__(self, plugin: Augmentation) -> None:
        self.plugin = plugin
        generator = torch.Generator().manual_seed(0)
        shape = (NUM_IMAGES, PHOTOS.num_channels, PHOTOS.height, PHOTOS.width)
        self.images = torch.randint(BRIGHTEST + 1, shape, generator=generator, dtype=torch.uint8)
        self.labels = torch.arange(NUM_IMAGES) % NUM_CLASSES
        self._generator = generator

    @cached_property
    def draws(self) -> Tensor:
        """The random numbers of the batch."""
        return torch.rand(NUM_IMAGES, num_draws_of(self.plugin), generator=self._generator)

    @cached_property
    def augment(self) -> Augment:
        """What the plugin builds."""
        with failures_named(self.plugin, method="build"):
            built = self.plugin.build(PHOTOS)
        require(callable(built), f"build() must return a function, not {built!r}", fix="return the inner function")
        return built

    @cached_property
    def augmented(self) -> tuple[Tensor, Tensor]:
        """The augmented batch."""
        return self.of(self.images, self.labels)

    @property
    def mixes(self) -> bool:
        """Whether an image gets fractions of several classes."""
        return self.augmented[1].ndim > 1

    def of(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Augment another batch of as many images, and return it."""
        # Copies: an augmentation that changes what it gets is caught by the check for that, and by no other.
        returned: object = self.augment(images.clone(), labels.clone(), self.draws.clone())
        match returned:
            case (torch.Tensor() as changed, torch.Tensor() as targets):
                return changed, targets
        raise BrokenPromiseError("it must return images and labels, two tensors", fix="return images, labels")


@check()
def builds(subject: AugmentationSubject) -> None:
    """Check that ``build`` returns a function, and ``num_draws`` a number."""
    _ = subject.augment, subject.draws


@check(needs=(builds,))
def shapes(subject: AugmentationSubject) -> None:
    """Check the images and labels that it returns, for all types that it may be given."""
    fractions = functional.one_hot(subject.labels, NUM_CLASSES).float()
    inputs = ((subject.images, subject.labels), (subject.images.float(), subject.labels), (subject.images, fractions))
    for images, labels in inputs:
        changed, targets = subject.of(images, labels)
        problem = batch_problem(changed, targets, PHOTOS, num_images=NUM_IMAGES)
        types = f"images in {images.dtype}, labels in {labels.dtype}"
        require(not problem, f"{problem} ({types})", fix="it may get any of these types after another augmentation")


@check(needs=(builds, shapes))
def values(subject: AugmentationSubject) -> None:
    """Check that pixels stay within 0..255 and the fractions of classes add up to 1."""
    for images in (subject.images, subject.images.float()):
        changed, targets = subject.of(images, subject.labels)
        is_in_range = bool(((changed >= 0) & (changed <= BRIGHTEST)).all())
        require(is_in_range, "it returns pixels outside of 0..255", fix="images.clamp(0, 255)")
        sums = targets.sum(dim=1) if targets.ndim > 1 else torch.ones(1)
        adds_up = torch.allclose(sums, torch.ones_like(sums))
        require(adds_up, "the fractions of an image's classes do not add up to 1", fix="divide by their sum")


@check(needs=(builds,))
def unchanged(subject: AugmentationSubject) -> None:
    """Check that it leaves the images and labels that it is given as they are."""
    images, labels = subject.images.clone(), subject.labels.clone()
    subject.augment(images, labels, subject.draws)
    is_same = torch.equal(images, subject.images) and torch.equal(labels, subject.labels)
    problem = "it changes the images or labels that it is given"
    require(is_same, problem, fix="return others: begin with images.clone() and labels.clone()")


@check(needs=(builds, shapes))
def reproducible(subject: AugmentationSubject) -> None:
    """Check that the same random numbers give the same images."""
    first = subject.augmented
    torch.manual_seed(1)
    again = subject.of(subject.images, subject.labels)
    is_same = all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    require(is_same, "it does not return the same twice", fix=_DRAWS)


@check(needs=(builds, shapes))
def per_image(subject: AugmentationSubject) -> None:
    """Check that what becomes of an image does not depend on the others, unless its label says that it is mixed."""
    if subject.mixes:
        return
    images, labels = subject.augmented
    for row in range(len(images)):
        one = slice(row, row + 1)
        alone, label = subject.augment(subject.images[one], subject.labels[one], subject.draws[one])
        is_same = torch.allclose(alone.float(), images[one].float(), rtol=0, atol=1)
        require(is_same, "what becomes of an image depends on the others in its batch", fix=_DRAWS)
        problem = "the label of an image depends on the others in its batch"
        require(torch.equal(label, labels[one]), problem, fix="return the labels in the order of the images")


CHECKS = (builds, shapes, values, unchanged, reproducible, per_image)


def augmentation_outcomes(augmentation: Augmentation) -> Iterator[CheckOutcome]:
    """Yield what each check of an augmentation comes to."""
    yield from outcomes(parameters.CHECKS, augmentation, augmentation)
    with random_states_kept(torch.device("cpu")):
        yield from outcomes(CHECKS, AugmentationSubject(augmentation), augmentation)


def check_augmentation(augmentation: Augmentation) -> None:
    """Check shapes, types and values, and that the random numbers of an image alone decide what becomes of it.

    Raises AssertionError with everything that is wrong, each with its fix.
    """
    raise_failures(f"augmentation {augmentation.name}", augmentation_outcomes(augmentation))
