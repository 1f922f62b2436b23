"""Augmentation in training: drawn by seed and epoch alone, image by image, and within the border."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.paths import PLUGINS

import benchbench as bb
from benchbench.config.spec import Draft, PluginSpec
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import PluginError, StoppedError
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.records import file_names
from benchbench.records.events import Failed, Finished
from benchbench.records.journal import Journal
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing
from benchbench.worker.splits import TensorSplit
from benchbench.worker.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

CPU = torch.device("cpu")
REGISTRY = Registry.load([PLUGINS / "tiny.py"])
SIZE, NUM_CLASSES = 16, 4
SPEC = ImageSpec(3, SIZE, SIZE, num_classes=NUM_CLASSES, mean=(0.5, 0.5, 0.5))
ALL = sorted(name for kind, name in REGISTRY.plugins if kind == "augmentation")
MIXING = ("mixup", "cutmix")


def split(count: int = 20) -> TensorSplit:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return TensorSplit(images, torch.arange(count) % NUM_CLASSES)


def augmenter(*names: str) -> Augmenter:
    plugins = [REGISTRY.create_augmentations(REGISTRY.resolve(draft(name)).augmentation) for name in names]
    return Augmenter.of(itertools.chain.from_iterable(plugins), SPEC)


def draft(augmentation: Any) -> Draft:
    return Draft.from_toml({"model": "tiny", "dataset": "digits", "augmentation": augmentation})


def epoch(*names: str, seed: int = 0, number: int = 1, batch_size: int = 5, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Return all images of an epoch, as pixels, and their labels."""
    given = Batches(
        split(),
        Preprocessing(size, (0.0,), (1 / 255,)),
        batch_size=batch_size,
        device=CPU,
        augmenter=augmenter(*names),
    )
    images, labels = zip(*given.shuffled(seed=seed, epoch=number), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("name", [name for name in ALL if name != "none"])
def test_images_depend_on_seed_and_epoch_alone(name: str) -> None:
    first, labels = epoch(name)
    torch.manual_seed(99)
    torch.rand(7)
    again, _ = epoch(name)
    assert torch.equal(first, again)
    plain, _ = epoch("none")
    assert not torch.equal(first, plain)
    assert not torch.equal(first, epoch(name, number=2)[0])
    assert not torch.equal(first, epoch(name, seed=1)[0])
    if name not in MIXING:
        other, other_labels = epoch(name, batch_size=7)
        assert torch.allclose(first, other, atol=1), "an image does not depend on its batch"
        assert torch.equal(labels, other_labels)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("none", *MIXING)])
def test_two_images_that_are_alike_are_changed_in_different_ways(name: str) -> None:
    plugin = REGISTRY.get("augmentation", name)()
    augment = Augmenter.of([plugin], SPEC)
    images = split(1).images.expand(64, -1, -1, -1)
    changed, _ = augment(images, torch.zeros(64, dtype=torch.int64), augment.draw(64, torch.Generator().manual_seed(0)))
    assert len(changed.flatten(1).unique(dim=0)) > (1 if name == "flip" else 10)


def test_augmentations_are_composed_in_their_order_and_each_draws_for_itself() -> None:
    mirrored, _ = epoch("flip")
    moved_too, _ = epoch("flip", "crop_flip")
    other, _ = epoch("crop_flip", "flip")
    assert not torch.equal(moved_too, other)
    plain, _ = epoch("none")
    erased_too, _ = epoch("flip", "random_erasing")
    is_same = (erased_too == mirrored).flatten(1).all(dim=1)
    assert is_same.any(), "the flips are those of the flip alone"
    assert not is_same.all()
    assert not torch.equal(plain, mirrored)


@pytest.mark.parametrize("name", ALL)
def test_black_stays_around_the_images_whatever_is_done_to_them(name: str) -> None:
    for size in (SIZE + 8, SIZE + 9):
        images, _ = epoch(name, size=size)
        window = Batches(split(), Preprocessing(size, (0.0,), (1.0,)), batch_size=4, device=CPU).window
        assert window.has_border
        images[:, :, window.rows.indices, window.columns.indices] = 0
        assert not images.any()


def test_images_are_cropped_before_they_are_augmented() -> None:
    cropped, _ = epoch("none", size=SIZE - 6)
    given = Batches(
        split(),
        Preprocessing(SIZE - 6, (0.0,), (1 / 255,)),
        batch_size=20,
        device=CPU,
        augmenter=Augmenter.of(REGISTRY.create_augmentations(PluginSpec("flip", 1, {"p": 1.0})), SPEC),
    )
    ((flipped, _),) = given.shuffled(seed=0, epoch=1)
    assert torch.equal(flipped, cropped.flip(-1))


class Wrong(bb.Augmentation, name="wrong"):
    """Does what ``returns`` says."""

    def build(self, data: ImageSpec) -> Any:
        return self.function


def wrong(function: Any) -> bb.Augmentation:
    return type("Wrong", (Wrong,), {"function": staticmethod(function), "name": "wrong"})()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (None, "build() must return a function, not None"),
        (lambda images, labels, draws: images, "it must return images and labels, two tensors"),
        (lambda images, labels, draws: (images.double(), labels), "images of [2, 3, 16, 16] in uint8 or float32"),
        (lambda images, labels, draws: (images[..., :8], labels), "not [2, 3, 16, 8] in torch.uint8"),
        (lambda images, labels, draws: (images, labels.float()), "labels of [2] in int64 or of [2, 4] in float32"),
        (lambda images, labels, draws: images / {}, "failed on two images: TypeError: unsupported operand"),
    ],
)
def test_an_augmentation_that_breaks_its_promises_is_named(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(PluginError) as caught:
        Augmenter.of([wrong(function)], SPEC)
    assert caught.value.message.startswith("augmentation 'wrong'")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("num_draws", "message"),
    [
        (lambda self: 2, "augmentation 'wrong': its num_draws is a method, not a property"),
        (property(lambda self: 2.0), "augmentation 'wrong': its num_draws must be a whole number, not 2.0"),
        (property(lambda self: -1), "augmentation 'wrong': its num_draws must be a whole number, not -1"),
        (property(lambda self: 1 // 0), "augmentation 'wrong' failed in num_draws: ZeroDivisionError"),
    ],
)
def test_a_number_of_draws_that_is_none_is_named(num_draws: Any, message: str) -> None:
    plugin = type("Wrong", (Wrong,), {"num_draws": num_draws, "function": staticmethod(len), "name": "wrong"})()
    with pytest.raises(PluginError) as caught:
        Augmenter.of([plugin], SPEC)
    assert message in caught.value.message


class Stopping:
    """Stops a trial after so many training batches."""

    def __init__(self, after: int | None = None) -> None:
        self.left = after

    def restart(self, *, num_trained: int) -> None:
        pass

    def trained(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise StoppedError

    def check(self) -> None:
        pass


def weights(folder: Path) -> dict[str, Tensor]:
    saved = torch.load(folder / file_names.CHECKPOINT, weights_only=True)
    states: dict[str, Tensor] = saved["states"]["model"]
    return states


def test_a_resumed_trial_sees_the_same_images_to_the_bit(tmp_path: Path) -> None:
    recipe = ["crop_flip", {"name": "trivial_augment"}, "random_erasing", {"name": "mixup", "p": 0.5}]
    dataset = {"name": "synthetic", "num_train": 300, "num_val": 20, "num_test": 20}
    table = {"model": "tiny", "dataset": dataset, "epochs": 3, "batch_size": 20, "augmentation": recipe}
    spec = REGISTRY.resolve(Draft.from_toml(table | {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}))
    whole, begun = (
        TrialJob(
            spec=spec,
            attempt=name,
            data_root=str(tmp_path),
            folder=str(tmp_path / "trial" / name),
            training=TrainingOptions(device="cpu", artifacts="none", checkpoint_every=0),
        )
        for name in ("whole", "begun")
    )
    assert isinstance([*run_trial(whole, REGISTRY, counter=Stopping())][-1], Finished)
    journal = Journal(tmp_path / "trial" / "begun")
    for event in run_trial(begun, REGISTRY, counter=Stopping(after=20)):
        journal.append(event)
    assert isinstance(event, Failed)
    *_, last = run_trial(replace(begun, resume=True), REGISTRY, counter=Stopping())
    assert isinstance(last, Finished)
    one, other = weights(tmp_path / "trial" / "whole"), weights(tmp_path / "trial" / "begun")
    assert all(torch.equal(one[name], other[name]) for name in one)
