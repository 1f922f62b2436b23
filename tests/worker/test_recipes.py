"""Clipped gradients, warmed up rates, averaged weights and the best network, against loops written by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from benchbench_plugins.cosine import Cosine
from benchbench_plugins.sgd import SGD
from benchbench_plugins.step import Step
from support.counters import LoneCounter
from torch import nn
from torch.nn import functional as F

from benchbench.errors import ModelError
from benchbench.worker.accelerate import Acceleration, Case, linear_products
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.lazy_gradient import FactoredGradient
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.best_weights import BestWeights
from benchbench.worker.schedule import Schedule, WarmUp
from benchbench.worker.train import Learner, evaluate, train_epoch
from benchbench.worker.weight_average import WeightAverage, have_means

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import benchbench as bb

CPU = torch.device("cpu")
PLAIN = Acceleration(CPU, "fp32", "off")
IN_PLACE = Acceleration(CPU, "fp32", levers=(LinearProducts("blocks"), FusedSteps(), StepsInPlace("blocks")))
WIDTH = 64
STEPS_PER_EPOCH = 3


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Tanh(), nn.Linear(WIDTH, 4))


def data(num_steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    chance = torch.Generator().manual_seed(1)
    return [(torch.randn(12, WIDTH, generator=chance), torch.arange(12) % 4) for _ in range(num_steps)]


def learner(
    optimizer: bb.Optimizer, scheduler: bb.Scheduler | None = None, *, ema: float | None = None, **more: Any
) -> Learner:
    model = network()
    made = optimizer.build(model)
    rule = scheduler or Step()
    warm_up = WarmUp(round(rule.warmup_epochs * STEPS_PER_EPOCH))
    built = rule.build(made, num_epochs=2, steps_per_epoch=STEPS_PER_EPOCH)
    case = Case(model, made, 12, reads_gradients=optimizer.clip_norm is not None)
    acceleration = more.get("acceleration", PLAIN).fitted(case).applied(case)
    average = WeightAverage(model, ema, has_means=have_means(model)) if ema else None
    schedule = Schedule(built, rule.step_every, rule.metric, warm_up)
    return Learner(model, made, schedule, acceleration, clip_norm=optimizer.clip_norm, average=average)


def by_hand(
    num_steps: int,
    before_step: Callable[[nn.Module, torch.optim.Optimizer, int], object] = lambda *_: None,
    after_step: Callable[[nn.Module], object] = lambda _: None,
    **settings: Any,
) -> nn.Module:
    """Return the network after so many steps of SGD as a person would write them."""
    model = network().train()
    optimizer = torch.optim.SGD(model.parameters(), **({"lr": 0.1, "momentum": 0.9} | settings))
    for number, (images, labels) in enumerate(data(num_steps)):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        before_step(model, optimizer, number)
        optimizer.step()
        after_step(model)
    return model


def assert_equal(ours: nn.Module, theirs: nn.Module, *, tolerance: float = 0.0) -> None:
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=tolerance, atol=tolerance, msg=name)


def test_clipped_steps_are_those_of_torch() -> None:
    target = learner(SGD(lr=0.1, clip_norm=0.05))
    train_epoch(target, data(6), counter=LoneCounter())
    clip = nn.utils.clip_grad_norm_
    assert_equal(target.model, by_hand(6, lambda model, *_: clip(model.parameters(), 0.05)))
    unclipped = by_hand(6)
    assert not torch.equal(target.model.state_dict()["0.weight"], unclipped.state_dict()["0.weight"])


def test_clipping_needs_the_gradients_of_large_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_products, "MIN_WEIGHTS", WIDTH**2)
    free = learner(SGD(lr=0.1), acceleration=IN_PLACE)
    clipped = learner(SGD(lr=0.1, clip_norm=0.05), acceleration=IN_PLACE)
    assert free.acceleration.facts()["optimizer"] == "in place"
    assert clipped.acceleration.facts()["optimizer"] == "fused"
    seen = []
    clipped.optimizer.register_step_pre_hook(lambda *_: seen.append(clipped.model[0].weight.grad))  # type: ignore[index]
    train_epoch(clipped, data(6), counter=LoneCounter())
    assert not any(isinstance(gradient, FactoredGradient) for gradient in seen)
    expected = by_hand(6, lambda model, *_: nn.utils.clip_grad_norm_(model.parameters(), 0.05))
    assert_equal(clipped.model, expected, tolerance=1e-5)


def test_a_warm_up_multiplies_the_rates_of_any_scheduler() -> None:
    target = learner(SGD(lr=0.1), Cosine(warmup_epochs=1.5))
    rates = []
    target.optimizer.register_step_pre_hook(lambda *_: rates.append(target.optimizer.param_groups[0]["lr"]))
    train_epoch(target, data(6), counter=LoneCounter())
    plain = learner(SGD(lr=0.1), Cosine())
    usual = []
    plain.optimizer.register_step_pre_hook(lambda *_: usual.append(plain.optimizer.param_groups[0]["lr"]))
    train_epoch(plain, data(6), counter=LoneCounter())
    factors = [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]
    assert rates == [rate * factor for rate, factor in zip(usual, factors, strict=True)]


def test_warmed_up_steps_are_those_of_a_loop_written_by_hand() -> None:
    target = learner(SGD(lr=0.1), Step(warmup_epochs=1))
    train_epoch(target, data(6), counter=LoneCounter())

    def warm(_: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
        optimizer.param_groups[0]["lr"] = 0.1 * min(1, (number + 1) / 3)

    assert_equal(target.model, by_hand(6, warm))
    assert target.optimizer.param_groups[0]["lr"] == 0.1


def test_averaged_weights_are_those_of_a_loop_written_by_hand() -> None:
    target = learner(SGD(lr=0.1), ema=0.75)
    train_epoch(target, data(6), counter=LoneCounter())
    mean = copy.deepcopy(network().state_dict())

    def average(model: nn.Module) -> None:
        for name, value in model.state_dict().items():
            mean[name] = 0.75 * mean[name] + 0.25 * value if value.is_floating_point() else value.clone()

    assert_equal(target.model, by_hand(6, after_step=average))
    for name, value in mean.items():
        torch.testing.assert_close(target.evaluated.state_dict()[name], value)
    assert target.evaluated is not target.model


def test_averaged_weights_agree_with_those_of_torch() -> None:
    target = learner(SGD(lr=0.1), ema=0.9)
    multi_avg_fn = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)  # type: ignore[no-untyped-call]
    theirs = torch.optim.swa_utils.AveragedModel(network(), multi_avg_fn=multi_avg_fn)
    theirs.update_parameters(theirs.module)  # type: ignore[arg-type] # from the initial weights on
    train_epoch(target, data(4), counter=LoneCounter())
    by_hand(4, after_step=theirs.update_parameters)
    for ours, right in zip(target.evaluated.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(ours, right)


def test_the_best_network_is_that_of_the_best_accuracy_then_of_the_lower_loss_then_the_earlier() -> None:
    from support.journals import epoch

    model, best = network(), BestWeights()
    for number, (accuracy, loss) in enumerate(
        ((0.5, 0.1), (0.75, 0.5), (0.75, 0.25), (0.75, 0.25), (0.5, 0.1)), start=1
    ):
        nn.init.constant_(model[3].bias, number)
        best.consider(replace(epoch(number, val_loss=loss).epoch, val_accuracy=accuracy), model)
    assert best.epoch == 3
    again = BestWeights()
    again.load_state_dict(best.state_dict())
    again.restore(model)
    assert model[3].bias.tolist() == [3.0] * 4


class Versioned(nn.Linear):
    """A layer that asks which version of it a state is of, as some of torchvision do."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *more: Any) -> None:
        assert metadata.get("version") == 2
        super()._load_from_state_dict(state, prefix, metadata, *more)


def test_the_best_network_is_restored_with_the_versions_of_its_layers(tmp_path: Path) -> None:
    from support.journals import epoch

    model, best = nn.Sequential(Versioned(2, 2)), BestWeights()
    best.consider(epoch(1).epoch, model)
    torch.save(best.state_dict(), tmp_path / "best.pt")
    again = BestWeights()
    again.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
    for each in (best, again):
        with torch.no_grad():
            model[0].weight.zero_()  # type: ignore[operator, union-attr]
        each.restore(model)
        assert model[0].weight.any()  # type: ignore[operator, union-attr]


class Remembering(nn.Module):
    """Keeps for eval mode what follows from its weight, and forgets it when it is trained, as attention biases do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, WIDTH))
        self.kept: torch.Tensor | None = None

    def train(self, mode: bool = True) -> Remembering:  # noqa: FBT002 - as in torch
        super().train(mode)
        if mode:
            self.kept = None
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            return images.flatten(1) @ (2 * self.weight).T
        if self.kept is None:
            self.kept = (2 * self.weight).T
        return images.flatten(1) @ self.kept


class OneBatch:
    """Images to evaluate on."""

    num_images = 12

    def in_order(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield data(1)[0]


def test_what_a_model_keeps_for_evaluation_is_that_of_its_weights_now() -> None:
    model = Remembering()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = Schedule(Step().build(optimizer, num_epochs=1, steps_per_epoch=1), "epoch", None, WarmUp(0))
    weights = WeightAverage(model, 0.5, has_means=have_means(model))
    target = Learner(model, optimizer, schedule, PLAIN, average=weights)
    evaluate(target, OneBatch(), counter=LoneCounter())  # type: ignore[arg-type]
    changed = Remembering()
    changed.weight.data.mul_(3)
    assert target.average is not None
    target.average.update(changed)
    logits = evaluate(target, OneBatch(), counter=LoneCounter(), keeps_logits=True).logits  # type: ignore[arg-type]
    torch.testing.assert_close(logits, data(1)[0][0] @ torch.full((WIDTH, 4), 4.0))


def test_infinite_numbers_of_a_mask_stay_what_they_are() -> None:
    model = nn.Linear(1, 1)
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    average = WeightAverage(model, 0.9, has_means=have_means(model))
    average.update(model)
    assert average.model.get_buffer("mask").tolist() == [0.0, -torch.inf]


def test_vectors_of_spectral_norm_are_copied_and_running_statistics_averaged() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))
    model = nn.Sequential(layer, nn.BatchNorm1d(8))
    average = WeightAverage(model, 0.5, has_means=have_means(model))
    first_mean = model[1].running_mean.clone()  # type: ignore[union-attr]
    model(torch.randn(4, 8))
    average.update(model)
    averaged, trained = dict(average.model.named_buffers()), dict(model.named_buffers())
    vectors = [name for name in trained if "parametrizations" in name]
    assert vectors
    assert all(torch.equal(averaged[name], trained[name]) for name in vectors)
    torch.testing.assert_close(averaged["1.running_mean"], (first_mean + trained["1.running_mean"]) / 2)


class Moody(torch.optim.SGD):
    """Trains at weights that are 1 larger than those at which it is evaluated, as schedule-free optimizers do."""

    is_training = True

    def train(self) -> None:
        self._go(to_training=True)

    def eval(self) -> None:
        self._go(to_training=False)

    @torch.no_grad()
    def _go(self, *, to_training: bool) -> None:
        if to_training is not self.is_training:
            self.is_training = to_training
            for weight in self.param_groups[0]["params"]:
                weight.add_(1 if to_training else -1)


def test_an_optimizer_with_modes_is_evaluated_at_its_own_weights() -> None:
    model = network()
    optimizer = Moody(model.parameters(), lr=0.0)
    schedule = learner(SGD(lr=0.1)).schedule
    target = Learner(model, optimizer, schedule, PLAIN)
    for _ in range(2):
        train_epoch(target, data(2), counter=LoneCounter())
        torch.testing.assert_close(model[0].weight + 1, network()[0].weight)


class Range(nn.Linear):
    """Keeps the smallest number seen, infinite at first."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.register_buffer("least", torch.tensor(torch.inf))


def test_a_trial_that_goes_on_averages_the_buffers_that_it_averaged_before() -> None:
    def average_after(values: list[float], *, loaded: float | None) -> float:
        model = Range()
        means = have_means(model)
        if loaded is not None:  # as a checkpoint does, before there is an average
            model.least = torch.tensor(loaded)
        average = WeightAverage(model, 0.5, has_means=means)
        for value in values:
            model.least = torch.tensor(value)
            average.update(model)
        return average.model.least.item()  # type: ignore[union-attr,operator]

    assert average_after([4.0, 2.0], loaded=None) == average_after([2.0], loaded=4.0) == 2.0


def test_complex_weights_are_averaged_like_all_others() -> None:
    model = nn.Linear(1, 2, bias=False)
    model.weight = nn.Parameter(torch.zeros(2, 1, dtype=torch.complex64))
    average = WeightAverage(model, 0.9, has_means=have_means(model))
    model.weight.data.fill_(1 + 1j)
    average.update(model)
    torch.testing.assert_close(average.model.weight.data, torch.full((2, 1), 0.1 + 0.1j))  # type: ignore[union-attr]


class HeldByFunction(nn.Module):
    """Has a function that uses its layers; a copy has the same function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.stem = lambda images: self.first(images).relu()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.stem(images))  # type: ignore[no-any-return]


class OwnGradient(nn.Module):
    """Asks for the gradient of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(WIDTH, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(images.detach().requires_grad_())  # type: ignore[no-any-return]


def test_a_network_whose_copy_would_use_its_layers_has_no_average() -> None:
    images, _ = data(1)[0]
    for model in (network(), OwnGradient()):
        WeightAverage(model, 0.9, has_means=have_means(model)).check_independence(model, images)
    model = HeldByFunction()
    average = WeightAverage(model, 0.9, has_means=have_means(model))
    with pytest.raises(ModelError, match="still computes with layers of the original") as caught:
        average.check_independence(model, images)
    assert "leave ema_decay out" in caught.value.hint


class Merging(nn.Module):
    """Adds its adapter to a frozen weight in eval mode, and takes it out again in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, WIDTH), requires_grad=False)
        self.adapter = nn.Parameter(torch.zeros(4, WIDTH))
        self.is_merged = False

    def train(self, mode: bool = True) -> Merging:  # noqa: FBT002 - as in torch
        super().train(mode)
        if mode == self.is_merged:
            self.weight.data += -self.adapter.data if mode else self.adapter.data
            self.is_merged = not mode
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ (self.weight if self.is_merged else self.weight + self.adapter).T


def test_layers_that_merge_weights_in_eval_mode_are_averaged_as_they_are_in_training() -> None:
    model = Merging().eval()  # as it is when it has been tried
    optimizer = torch.optim.SGD([model.adapter], lr=0.1)
    schedule = Schedule(Step().build(optimizer, num_epochs=2, steps_per_epoch=3), "epoch", None, WarmUp(0))
    weights = WeightAverage(model, 0.5, has_means=have_means(model))
    target = Learner(model, optimizer, schedule, PLAIN, average=weights)
    mean = torch.zeros(4, WIDTH)

    def average(*_: object) -> None:
        mean.lerp_(model.adapter.detach(), 0.5)

    optimizer.register_step_post_hook(average)
    for _ in range(2):
        train_epoch(target, data(3), counter=LoneCounter())
        found = evaluate(target, OneBatch(), counter=LoneCounter(), keeps_logits=True)  # type: ignore[arg-type]
        torch.testing.assert_close(found.logits, data(1)[0][0] @ (1 + mean).T)
