"""Steps against a loop written by hand in plain PyTorch, with the same weights, images and dropout."""

import copy
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchbench_plugins.adam import Adam
from benchbench_plugins.alexnet import AlexNet
from benchbench_plugins.digits import Digits
from benchbench_plugins.sgd import SGD
from benchbench_plugins.timm_models import Timm
from filelock import FileLock
from support.counters import LoneCounter
from support.shared import shared_folder
from support.training import BATCH_SIZE, CPU, PREPROCESSING, batches, learner, make_images
from torch import nn
from torch.nn import functional as F

import benchbench as bb
from benchbench.config.defaults import Precision
from benchbench.plugin.model import DataSpec
from benchbench.worker.accelerate import Case, Proof, accelerate
from benchbench.worker.accelerate.tolerances import BOUNDS
from benchbench.worker.accelerate.winograd import Winograd
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Preprocessing, epoch_seed
from benchbench.worker.splits import TensorSplit
from benchbench.worker.train import train_epoch


def computed_once(name: str, compute: Callable[[], Any]) -> Any:
    """Return what the first process computed that asked for it: double precision is slow.

    Processes with other instruction sets compare with the same numbers, from the same weights and images.
    """
    path = shared_folder("references") / f"{name}.pt"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            torch.save(compute(), path)
    return torch.load(path, weights_only=True)


def first_weights(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    """Return a network that begins with the same weights in all processes."""
    torch.manual_seed(0)
    model = build()
    model.load_state_dict(computed_once(f"{name}, first weights", model.state_dict))
    return model


def trained_exactly(model: nn.Module, theirs: Callable[..., Any], split: TensorSplit, **options: Any) -> dict[str, Any]:
    """Return the state of a network after it was trained by hand in double precision."""
    exact = copy.deepcopy(model).double()
    plain_loop(exact, theirs(exact.parameters()), split, seed=5, **options)
    return exact.state_dict()


def relative_difference(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).norm() / right.norm())


def plain_loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    split: TensorSplit,
    *,
    seed: int,
    border: int = 0,
    batch_size: int = BATCH_SIZE,
) -> None:
    """Train as a person would write it, one image at a time through the transforms."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, 1))
    order = torch.randperm(len(split), generator=generator)
    flips = torch.rand(len(split), generator=generator) < 0.5
    mean, std = torch.tensor(PREPROCESSING.mean)[:, None, None], torch.tensor(PREPROCESSING.std)[:, None, None]
    model.train()
    for start in range(0, len(split), batch_size):
        batch = []
        for position in range(start, min(start + batch_size, len(split))):
            image = F.pad(split.images[order[position]].float() / 255, (border,) * 4)
            if flips[position]:
                image = image.flip(2)
            batch.append((image - mean) / std)
        optimizer.zero_grad()
        images = torch.stack(batch).to(next(model.parameters()).dtype)
        loss = F.cross_entropy(model(images), split.labels[order[start : start + batch_size]])
        loss.backward()
        optimizer.step()


def wide_model(*, dropout: float = 0.5) -> nn.Module:
    """Return a network whose linear layers are so large that they are computed by our own products."""
    first = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten())
    return nn.Sequential(
        first,
        nn.Linear(784, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, 2048),
        nn.ReLU(),
        nn.Linear(2048, 10),
    )


def deep_model() -> nn.Module:
    """Return a network with convolutions of so many channels that they are not computed directly.

    It is smooth: rounding decides which of two nearly equal inputs a ReLU or a maximum lets pass, and that grows.
    """
    return nn.Sequential(
        *(nn.Conv2d(3, 192, 3, stride=2, padding=1), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(192, 192, 3, padding=1), nn.Tanh()),
        *(nn.Conv2d(192, 192, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(192 * 64, 10)),
    )


def resnet() -> nn.Module:
    return Timm(architecture="resnet10t").build(DataSpec(3, 63, 10))


def alexnet() -> nn.Module:
    return AlexNet().build(DataSpec(3, 63, 10))


def train_both(build: Callable[[], nn.Module], ours: bb.Optimizer, theirs: Callable[..., Any]) -> list[nn.Module]:
    """Return two networks after 20 steps from the same weights: trained here, and by hand."""
    split = make_images(20 * BATCH_SIZE - 1)
    torch.manual_seed(0)
    model = build()
    twin = copy.deepcopy(model)
    torch.manual_seed(1)
    counter = LoneCounter()
    train_epoch(learner(model, ours), batches(split).shuffled(seed=5, epoch=1), counter=counter)
    assert counter.num_trained == 20
    torch.manual_seed(1)
    plain_loop(twin, theirs(twin.parameters()), split, seed=5)
    return [model, twin]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "ours", "theirs"),
    [
        (alexnet, SGD(), lambda weights: torch.optim.SGD(weights, lr=0.001, momentum=0.9)),
        (resnet, SGD(), lambda weights: torch.optim.SGD(weights, lr=0.001, momentum=0.9)),
        (wide_model, SGD(momentum=0.0), lambda weights: torch.optim.SGD(weights, lr=0.001)),
        (
            wide_model,
            SGD(weight_decay=0.001, nesterov=True),
            lambda weights: torch.optim.SGD(weights, lr=0.001, momentum=0.9, weight_decay=0.001, nesterov=True),
        ),
    ],
    ids=["alexnet", "resnet", "without momentum", "nesterov and weight decay"],
)
def test_twenty_steps_equal_a_loop_written_by_hand(
    build: Callable[[], nn.Module], ours: bb.Optimizer, theirs: Callable[..., torch.optim.Optimizer]
) -> None:
    model, twin = train_both(build, ours, theirs)
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            assert relative_difference(weight, twin.state_dict()[name]) < 1e-5, name


EXACT_CASES = pytest.mark.parametrize(
    ("name", "build", "border", "batch_size"),
    [("paper", lambda: AlexNet(dropout=0.0).build(DataSpec(3, 150, 10)), 43, 12), ("deep", deep_model, 0, 4)],
    ids=["the paper's trial", "many channels"],
)


def precise_step(case: Case, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Return a batch with what a step computes of it in double precision."""
    values = Proof(case, images, labels, seed=0)._precise(accelerate(CPU, "fp32")).values
    return {"images": images, "labels": labels, "values": values}


@pytest.mark.slow
@EXACT_CASES
def test_gradients_of_a_usual_batch_are_as_exact_as_those_by_hand(
    name: str, build: Callable[[], nn.Module], border: int, batch_size: int
) -> None:
    """The usual batch is the median of nine: in some, a rounding of ours or of torch's tips a ReLU or a maximum."""
    split = make_images(9 * batch_size, size=64)
    model = first_weights(name, build)
    train = batches(split, replace(PREPROCESSING, image_size=64 + 2 * border), batch_size=batch_size)
    case = Case(model, SGD().build(model), batch_size, train.window)
    acceleration = accelerate(CPU, "fp32").fitted(case)
    errors = defaultdict(list)
    for number, (images, labels) in enumerate(train.shuffled(seed=5, epoch=1)):
        precise = computed_once(f"{name}, batch {number}", partial(precise_step, case, images, labels))
        proof = Proof(case, precise["images"], precise["labels"], seed=0)
        ours, usual = proof._pass(acceleration), proof._pass(replace(acceleration, levers=()))
        for value, right in precise["values"].items():
            both = (ours.values[value].double(), usual.values[value].double())
            errors[value].append([relative_difference(one, right) for one in both])
    assert {"loss", "output in eval mode"} < errors.keys()
    for value, pairs in errors.items():
        our_error, usual_error = np.median(pairs, axis=0)
        assert our_error <= max(2 * usual_error, 1e-7), value


@pytest.mark.slow
@EXACT_CASES
def test_twenty_steps_are_as_exact_as_those_of_a_loop_written_by_hand(
    name: str, build: Callable[[], nn.Module], border: int, batch_size: int
) -> None:
    """All weights together: a maximum that tips in one step, in torch's loop too, moves a few of them far."""
    split = make_images(20 * batch_size, size=64)
    model = first_weights(name, build)
    twin = copy.deepcopy(model)
    sgd = partial(torch.optim.SGD, lr=0.001, momentum=0.9)
    by_hand = {"border": border, "batch_size": batch_size}
    exact = computed_once(f"{name}, trained", lambda: trained_exactly(twin, sgd, split, **by_hand))
    train = batches(split, replace(PREPROCESSING, image_size=64 + 2 * border), batch_size=batch_size)
    target = learner(model, SGD(), batch_size=batch_size, window=train.window)
    assert (target.acceleration.facts()["border"] == "torch") == (border == 0)
    train_epoch(target, train.shuffled(seed=5, epoch=1), counter=LoneCounter())
    plain_loop(twin, sgd(twin.parameters()), split, seed=5, **by_hand)
    right = all_weights(exact)
    usual = relative_difference(all_weights(twin.state_dict()), right)
    assert relative_difference(all_weights(model.state_dict()), right) <= max(2 * usual, BOUNDS["fp32"])
    if build is deep_model:  # it has neither maxima nor ReLUs that could tip
        for weight, value in exact.items():
            errors = [relative_difference(other.state_dict()[weight].double(), value) for other in (model, twin)]
            assert errors[0] <= max(2 * errors[1], 1e-7), weight


def all_weights(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the state of a model as one float64 vector."""
    return torch.cat([value.double().flatten() for value in state.values()])


@pytest.mark.slow
@pytest.mark.parametrize("build", [alexnet, wide_model])
def test_twenty_steps_as_with_avx_512_equal_a_loop_written_by_hand(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], nn.Module]
) -> None:
    """What is chosen there can be computed anywhere, if slowly."""
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        pytest.skip("torch takes avx512 by itself: the test above runs with it")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert accelerate(CPU, "fp32").facts()["linear"] == "images"
    model, twin = train_both(build, SGD(), lambda weights: torch.optim.SGD(weights, lr=0.001, momentum=0.9))
    for name, weight in model.state_dict().items():
        assert relative_difference(weight, twin.state_dict()[name]) < 1e-5, name


def loss_curve(precision: Precision) -> list[float]:
    """Return the mean losses of every ten steps of an epoch of handwritten digits, at a learning rate that learns."""
    dataset = Digits()
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 16, 5, stride=2, padding=2)
    hidden = nn.Linear(4096, 1024)
    model = nn.Sequential(
        *(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()), *(hidden, nn.ReLU(), nn.Linear(1024, 10))
    )
    fp32 = accelerate(CPU, "fp32")
    levers = tuple(lever for lever in fp32.levers if not isinstance(lever, Winograd))
    acceleration = replace(fp32, precision=precision, levers=levers)
    target = learner(model, SGD(lr=0.01), batch_size=16, acceleration=acceleration)
    preprocessing = Preprocessing(64, dataset.mean, dataset.std)
    train = dataset.load(Path()).train
    shuffled = batches(train, preprocessing, batch_size=16, augmenter=Augmenter()).shuffled(seed=0, epoch=1)
    losses = []
    while steps := list(islice(shuffled, 10)):
        losses.append(train_epoch(target, steps, counter=LoneCounter()).loss)
    return losses


BF16_BAND = 0.1


@pytest.mark.slow
def test_the_loss_curve_in_bf16_stays_in_a_band_of_that_in_fp32() -> None:
    """torch converts where a processor has no bf16: the same numbers, only slower."""
    usual, ours = loss_curve("fp32"), loss_curve("bf16")
    assert usual[-1] < usual[0] / 3, "it learns"
    assert usual != ours
    assert max(abs(right - found) for right, found in zip(usual, ours, strict=True)) < BF16_BAND


@pytest.mark.slow
def test_twenty_steps_of_adam_are_as_exact_as_those_of_a_loop_written_by_hand() -> None:
    """Adam makes whole steps of roundings near zero, so that both are compared with double precision."""
    build = partial(first_weights, "wide", partial(wide_model, dropout=0.0))
    adam = partial(torch.optim.Adam, lr=0.0001)
    model, twin = train_both(build, Adam(lr=0.0001), adam)
    split = make_images(20 * BATCH_SIZE - 1)
    exact = computed_once("wide, trained", lambda: trained_exactly(build(), adam, split))
    for name, right in exact.items():
        usual = relative_difference(twin.state_dict()[name].double(), right)
        assert relative_difference(model.state_dict()[name].double(), right) <= max(2 * usual, 1e-7), name


def test_large_layers_are_computed_by_our_own_products() -> None:
    facts, wanted = learner(wide_model(), SGD()).acceleration.facts(), accelerate(CPU, "fp32").facts()
    assert facts["linear"] == wanted["linear"]
    assert facts["optimizer"] == wanted["optimizer"]
