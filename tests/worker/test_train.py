"""The training loop: epochs, evaluation, losses that are no numbers, schedulers."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from benchbench_plugins.adam import Adam
from benchbench_plugins.cosine import Cosine
from benchbench_plugins.sgd import SGD
from benchbench_plugins.step import Step
from support.counters import LoneCounter
from support.training import CPU, batches, learner, make_images
from torch import nn
from torch.nn import functional as F

import benchbench as bb
from benchbench.records.events import Epoch
from benchbench.worker.accelerate import Acceleration
from benchbench.worker.clock import Clock
from benchbench.worker.finished_steps import FinishedSteps
from benchbench.worker.splits import TensorSplit
from benchbench.worker.train import Learner, NonFiniteLossError, evaluate, fit, predicted_classes, train_epoch


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(9), nn.Flatten(), nn.Dropout(0.5), nn.Linear(147, 10))


def run_fit(target: Learner, split: TensorSplit, *, epochs: int = 2) -> list[Epoch]:
    return list(
        fit(
            target,
            batches(split),
            batches(split),
            seed=0,
            epochs=range(1, epochs + 1),
            clock=Clock(),
            counter=LoneCounter(),
        )
    )


def test_a_fit_gives_one_entry_an_epoch_and_learns() -> None:
    split = make_images(12)
    epochs = run_fit(learner(small_model(), SGD(lr=0.01)), split, epochs=20)
    assert [epoch.epoch for epoch in epochs] == list(range(1, 21))
    assert epochs[-1].val_loss < epochs[0].val_loss
    assert all(epoch.train_seconds > 0 and epoch.eval_seconds > 0 for epoch in epochs)


def test_the_same_seed_repeats_itself_bit_for_bit() -> None:
    split = make_images(12)
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        target = learner(small_model(), Adam())
        run_fit(target, split)
        weights.append(target.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_evaluation_is_the_mean_over_images_not_over_batches() -> None:
    split = make_images(130)
    target = learner(small_model(), SGD())
    found = evaluate(target, batches(split), counter=LoneCounter(), keeps_logits=True)
    images = torch.cat([images for images, _ in batches(split).in_order()])
    with torch.no_grad():
        logits = target.model.eval()(images)
    assert found.loss == pytest.approx(float(F.cross_entropy(logits, split.labels)), rel=1e-6)
    assert found.accuracy == float((logits.argmax(1) == split.labels).double().mean())
    assert found.logits.shape == (130, 10)
    assert evaluate(target, batches(split), counter=LoneCounter()).logits.numel() == 0


def test_evaluation_is_compiled_too_and_keeps_the_logits_of_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.Tensor] = []

    def compile_as_for_a_gpu(model: nn.Module, *, mode: str, dynamic: bool) -> Callable[[torch.Tensor], torch.Tensor]:
        assert (mode, dynamic) == ("default", False)
        logits = torch.empty(64, 10)
        return lambda images: calls.append(images) or logits.copy_(model(images))

    monkeypatch.setattr(torch, "compile", compile_as_for_a_gpu)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 63 * 63, 10))
    val = batches(make_images(128))
    plain, compiled = (
        evaluate(
            learner(model, SGD(), acceleration=Acceleration(CPU, "fp32", compiled=compiled)),
            val,
            counter=LoneCounter(),
        )
        for compiled in (False, True)
    )
    assert len(calls) == 2
    assert torch.equal(compiled.logits, plain.logits)


def test_a_loss_that_is_no_number_ends_the_fit_after_its_epoch_is_told() -> None:
    split = make_images(12)
    curve = fit(
        learner(small_model(), SGD(lr=1e38)),
        batches(split),
        batches(split),
        seed=0,
        epochs=range(1, 5),
        clock=Clock(),
        counter=LoneCounter(),
    )
    told = [next(curve)]
    with pytest.raises(NonFiniteLossError, match=r"loss became (nan|inf) in epoch 1") as caught:
        told.extend(curve)
    assert "learning rate" in caught.value.hint
    assert len(told) == 1
    assert not math.isfinite(told[0].train_loss)


def test_the_step_rule_falls_after_its_epochs_and_the_cosine_after_every_batch() -> None:
    split = make_images(12)
    stepped = run_fit(learner(small_model(), SGD(lr=0.01), Step(step_size=1, gamma=0.1)), split)
    assert [epoch.learning_rate for epoch in stepped] == pytest.approx([0.01, 0.001])
    target = learner(small_model(), SGD(lr=0.01), Cosine())
    halved = run_fit(target, split)
    assert [epoch.learning_rate for epoch in halved] == pytest.approx([0.01, 0.005])
    assert target.optimizer.param_groups[0]["lr"] == pytest.approx(0.0)


class Point:
    """A point in the work of a device that is as far as ``reached`` says."""

    reached = 0
    number = 0

    def record(self) -> None:
        Point.number += 1
        self.position = Point.number

    def query(self) -> bool:
        return self.position <= Point.reached


def test_steps_that_a_device_has_only_queued_do_not_count_as_progress() -> None:
    counted: list[int] = []
    Point.number = Point.reached = 0
    steps = FinishedSteps(lambda: counted.append(1), Point)
    for reached in (0, 0, 1, 1, 4):
        Point.reached = reached
        steps.queued()
    assert len(counted) == 4
    steps.end()
    assert len(counted) == 5


def test_training_accuracy_is_that_of_the_logits_and_not_of_what_the_loss_makes_of_them() -> None:
    """Margin losses lower the logit of the right class in place."""

    def with_margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits[torch.arange(len(labels)), labels] -= 100
        return F.cross_entropy(logits, labels)

    images = list(batches(make_images(100)).in_order())
    accuracies = []
    for loss in (F.cross_entropy, with_margin):
        torch.manual_seed(3)
        target = replace(
            learner(small_model(), SGD(lr=1e-12), acceleration=Acceleration(CPU, "fp32", "off")), loss=loss
        )
        accuracies.append(train_epoch(target, images, counter=LoneCounter()).accuracy)
    assert accuracies[0] == accuracies[1] > 0


def test_an_optimizer_may_have_a_zero_grad_without_parameters() -> None:
    target = learner(small_model(), SGD(lr=0.01))
    zero_grad = target.optimizer.zero_grad
    target.optimizer.zero_grad = lambda: zero_grad()  # type: ignore[method-assign] # noqa: PLW0108 - it takes nothing
    assert run_fit(target, make_images(12))


class OfLastLayer(bb.Optimizer, name="of_last_layer"):
    """Updates the last layer alone, though the others get gradients."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model[-1].parameters(), lr=0.01)  # type: ignore[index]


def test_gradients_of_weights_that_no_optimizer_updates_do_not_add_up() -> None:
    first = nn.Linear(147, 8)
    target = learner(nn.Sequential(nn.AvgPool2d(9), nn.Flatten(), first, nn.Linear(8, 10)), OfLastLayer())
    of_steps: list[torch.Tensor] = []
    are_alone: list[bool] = []
    first.weight.register_hook(of_steps.append)
    first.weight.register_post_accumulate_grad_hook(
        lambda weight: are_alone.append(torch.equal(weight.grad, of_steps[-1]))
    )
    run_fit(target, make_images(12))
    assert are_alone == 6 * [True]
    assert first.weight.grad is None


def test_logits_that_give_no_probabilities_predict_no_class() -> None:
    nan, inf = torch.nan, torch.inf
    logits = torch.tensor([[nan, 1.0], [0.0, nan], [0.0, inf], [-inf, -inf], [2.0, 1.0], [-inf, 0.0]])
    assert predicted_classes(logits).tolist() == [-1, -1, -1, -1, 0, 1]
