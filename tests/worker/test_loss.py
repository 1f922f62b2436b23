"""The loss of a trial: what training makes smaller, and what is measured whatever it is."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from benchbench_plugins.bce import BinaryCrossEntropy
from benchbench_plugins.cross_entropy import CrossEntropy, balanced_weights
from support.counters import LoneCounter
from torch import nn
from torch.nn import functional

from benchbench.worker.accelerate import Acceleration, Case, Proof
from benchbench.worker.accelerate.all_levers import FusedSteps
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing, padded_to_outputs
from benchbench.worker.schedule import Schedule
from benchbench.worker.splits import TensorSplit
from benchbench.worker.train import Learner, evaluate, train_epoch

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 1, 1, 2])
LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def test_the_cross_entropy_is_that_of_torch_to_the_bit() -> None:
    loss = CrossEntropy().build(LABELS, num_outputs=5)
    assert torch.equal(loss(LOGITS, LABELS), functional.cross_entropy(LOGITS, LABELS))


def test_label_smoothing_and_fractions_of_classes_are_those_of_torch() -> None:
    loss = CrossEntropy(label_smoothing=0.1).build(LABELS, num_outputs=5)
    fractions = functional.one_hot(LABELS, 5).float()
    assert torch.equal(loss(LOGITS, LABELS), functional.cross_entropy(LOGITS, LABELS, label_smoothing=0.1))
    assert float(loss(LOGITS, fractions)) == pytest.approx(float(loss(LOGITS, LABELS)))


def test_balanced_weights_make_all_classes_count_alike() -> None:
    weights = balanced_weights(LABELS, 5)
    assert weights.tolist() == pytest.approx([4 / 3, 2 / 3, 4 / 3, 1.0, 1.0])
    assert weights[LABELS].mean() == pytest.approx(1.0)
    loss = CrossEntropy(class_weights="balanced").build(LABELS, num_outputs=5)
    per_image = functional.cross_entropy(LOGITS, LABELS, reduction="none")
    per_class = [per_image[number == LABELS].mean() for number in range(3)]
    assert float(loss(LOGITS, LABELS)) == pytest.approx(float(sum(per_class) / 3))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_balanced_classes_count_alike_in_batches_of_any_size(batch_size: int) -> None:
    loss = CrossEntropy(class_weights="balanced").build(LABELS, num_outputs=5)
    batches = zip(LOGITS.split(batch_size), LABELS.split(batch_size), strict=True)
    losses = [float(loss(logits, labels)) for logits, labels in batches]
    assert sum(losses) / len(losses) == pytest.approx(float(loss(LOGITS, LABELS)))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_mixed_images_have_the_weights_of_their_classes(label_smoothing: float) -> None:
    plugin = CrossEntropy(class_weights="balanced", label_smoothing=label_smoothing)
    loss = plugin.build(LABELS, num_outputs=5)
    labels, logits = LABELS[:3], LOGITS[:3]  # a batch with other classes than all images together
    alike = functional.one_hot(labels, 5).float()
    assert float(loss(logits, alike)) == pytest.approx(float(loss(logits, labels)), rel=1e-5)
    fractions = 0.75 * alike + 0.25 * alike.roll(-1, dims=0)
    targets = fractions * (1 - label_smoothing) + label_smoothing / 5
    weights = balanced_weights(LABELS, 5)
    by_hand = -(weights * targets * logits.log_softmax(dim=1)).sum() / len(labels)
    assert float(loss(logits, fractions)) == pytest.approx(float(by_hand), rel=1e-5)


def test_the_binary_cross_entropy_asks_for_each_class_alone() -> None:
    loss = BinaryCrossEntropy().build(LABELS, num_outputs=5)
    answers = functional.one_hot(LABELS, 5).float()
    right = -(answers * LOGITS.sigmoid().log() + (1 - answers) * (1 - LOGITS.sigmoid()).log()).mean()
    assert float(loss(LOGITS, LABELS)) == pytest.approx(float(right))
    assert torch.equal(loss(LOGITS, LABELS), loss(LOGITS, answers))
    smooth = BinaryCrossEntropy(label_smoothing=0.2).build(LABELS, num_outputs=5)
    assert float(smooth(LOGITS, LABELS)) == pytest.approx(float(loss(LOGITS, answers * 0.8 + 0.04)))


def test_fractions_fit_a_model_with_more_outputs_than_classes() -> None:
    assert padded_to_outputs(LABELS, 9) is LABELS
    wider = padded_to_outputs(functional.one_hot(LABELS, 3).float(), 5)
    assert torch.equal(wider, functional.one_hot(LABELS, 5).float())


class Constant(nn.Module):
    """Has the same logits for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([3.0, 1.0, 0.0, 0.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


def learner(model: nn.Module, loss: nn.Module) -> Learner:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
    return Learner(model, optimizer, Schedule(scheduler), Acceleration(CPU, "fp32"), loss=loss)


def halved(images: torch.Tensor, labels: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ARG001 - as for every augmentation
    """Mix each image with as much of class 1, which it does not show."""
    classes = functional.one_hot(labels, 3).float()
    return images, (classes + torch.tensor([0.0, 1.0, 0.0])) / 2


def test_mixed_images_count_as_correct_by_the_fraction_of_the_predicted_class() -> None:
    images = torch.zeros(4, 3, 4, 4, dtype=torch.uint8)
    target = learner(Constant(), CrossEntropy(label_smoothing=0.5).build(LABELS, num_outputs=4))
    given = Batches(
        TensorSplit(images, LABELS),
        Preprocessing(4, (0.0,), (1.0,)),
        batch_size=3,
        device=CPU,
        augmenter=Augmenter(((0, halved),)),
    )
    trained = train_epoch(target, given.shuffled(seed=0, epoch=1), counter=LoneCounter())
    assert trained.accuracy == (0.5 + 0 + 0 + 0) / 4
    validated = evaluate(target, given, counter=LoneCounter())
    assert validated.accuracy == 0.25
    logits = Constant().logits.detach().expand(4, -1)
    assert validated.loss == pytest.approx(float(functional.cross_entropy(logits, LABELS))), "neither mixed nor smooth"
    assert trained.loss > validated.loss


@pytest.mark.parametrize("mixes", [False, True])
def test_acceleration_is_proven_with_the_loss_of_the_trial(*, mixes: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 5))
    images = torch.randn(4, 3, 4, 4)
    labels = functional.one_hot(LABELS, 3).float() if mixes else LABELS
    loss = CrossEntropy(class_weights="balanced", label_smoothing=0.1).build(LABELS, num_outputs=5)
    asked = []
    loss.register_forward_hook(lambda *_: asked.append(True))
    proof = Proof(Case(model, torch.optim.SGD(model.parameters(), lr=0.1), 4), images, labels, 0, loss)
    acceleration = Acceleration(CPU, "fp32", levers=(FusedSteps(),))
    assert proof.proven(acceleration).levers == (FusedSteps(),)
    assert asked
    double = copy.deepcopy(loss).double()
    logits = model(images).detach()
    targets = padded_to_outputs(labels, 5)
    right = double(logits.double(), targets.double() if mixes else targets)
    assert proof._mean_loss(logits.double()).dtype == torch.float64
    assert float(proof._mean_loss(logits.double())) == pytest.approx(float(right))
    assert float(replace(proof, loss=functional.cross_entropy)._mean_loss(logits)) != pytest.approx(float(right))


class Counting(nn.Module):
    """A loss that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return functional.cross_entropy(logits, targets)


def test_a_proof_leaves_the_state_of_a_loss_as_it_was() -> None:
    model, loss = nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), Counting()
    case = Case(model, torch.optim.SGD(model.parameters(), lr=0.1), 4)
    proof = Proof(case, torch.randn(4, 3, 4, 4), LABELS, 0, loss)
    assert proof.proven(Acceleration(CPU, "fp32", levers=(FusedSteps(),))).levers
    assert loss.calls == 0
