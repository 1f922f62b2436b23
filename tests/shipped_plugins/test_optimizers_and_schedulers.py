"""Shipped optimizers and schedulers against the same written by hand with torch: equal to the bit after some steps."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from benchbench_plugins.adamw import AdamW
from benchbench_plugins.cosine import Cosine
from benchbench_plugins.exponential import Exponential
from benchbench_plugins.linear import Linear
from benchbench_plugins.lion import Lion
from benchbench_plugins.multistep import MultiStep
from benchbench_plugins.muon import Muon
from benchbench_plugins.onecycle import OneCycle
from benchbench_plugins.plateau import Plateau
from benchbench_plugins.rmsprop import RMSprop
from benchbench_plugins.sgd import SGD
from benchbench_plugins.timm_models import Timm
from benchbench_plugins.timm_optimizers import TimmOptimizer
from timm.optim import list_optimizers
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

import benchbench as bb
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

NUM_EPOCHS, STEPS_PER_EPOCH = 4, 5
with_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon: it came with 2.9")
with_kron = pytest.mark.skipif("kron" not in list_optimizers(), reason="this timm has no kron")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten()),
        *(nn.Linear(144, 16), nn.Tanh(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 5)),
    )


def trained(build: Callable[[nn.Module], list[torch.optim.Optimizer]]) -> dict[str, torch.Tensor]:
    """Return the weights after five steps of one optimizer or more."""
    model, chance = network(), torch.Generator().manual_seed(1)
    optimizers = build(model)
    for _ in range(5):
        images = torch.randn(8, 3, 8, 8, generator=chance)
        for optimizer in optimizers:
            optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(8) % 5).backward()
        for optimizer in optimizers:
            optimizer.step()
    return model.state_dict()


def matrices_and_others(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0}]


def muon_by_hand(model: Any) -> list[torch.optim.Optimizer]:
    """Two optimizers: of the weights of all linear layers but the last, and of everything else."""
    hidden = [model[3].weight, model[5].weight]
    others = [parameter for parameter in model.parameters() if all(parameter is not one for one in hidden)]
    return [
        torch.optim.Muon(hidden, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=0.02, weight_decay=0.05),
    ]


def timms(name: str, model: nn.Module, **settings: Any) -> list[torch.optim.Optimizer]:
    import timm.optim

    return [timm.optim.create_optimizer_v2(model, opt=name, **settings)]


@pytest.mark.parametrize(
    ("plugin", "theirs"),
    [
        (AdamW(lr=0.01), lambda model: [torch.optim.AdamW(model.parameters(), lr=0.01)]),
        (
            AdamW(lr=0.01, weight_decay=0.3, decay="matrices"),
            lambda model: [torch.optim.AdamW(matrices_and_others(model, 0.3), lr=0.01)],
        ),
        (
            RMSprop(lr=0.01, momentum=0.5, weight_decay=0.1, centered=True),
            lambda model: [
                torch.optim.RMSprop(model.parameters(), lr=0.01, momentum=0.5, weight_decay=0.1, centered=True)
            ],
        ),
        pytest.param(
            Muon(lr=0.01, momentum=0.9, adamw_lr=0.02, adamw_weight_decay=0.05), muon_by_hand, marks=with_muon
        ),
        (
            TimmOptimizer(algorithm="lamb", lr=0.01, weight_decay=0.1, options=bb.Options({"betas": [0.8, 0.9]})),
            lambda model: timms("lamb", model, lr=0.01, weight_decay=0.1, betas=(0.8, 0.9)),
        ),
    ],
    ids=["adamw", "adamw, matrices decay", "rmsprop", "muon", "timm"],
)
def test_steps_are_those_of_a_loop_written_by_hand(
    plugin: bb.Optimizer, theirs: Callable[[nn.Module], list[torch.optim.Optimizer]]
) -> None:
    ours, expected = trained(lambda model: [plugin.build(model)]), trained(theirs)
    assert all(torch.equal(ours[name], value) for name, value in expected.items())
    assert not torch.equal(ours["3.weight"], network().state_dict()["3.weight"])


def test_steps_of_lion_are_those_of_its_paper() -> None:
    """Algorithm 2: the sign of a mean of momentum and gradient, weight decay beside it, then the momentum."""
    momenta: dict[int, torch.Tensor] = {}

    class ByHand(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for weight in self.param_groups[0]["params"]:
                momentum = momenta.setdefault(id(weight), torch.zeros_like(weight))
                step = (0.9 * momentum + 0.1 * weight.grad).sign() + 0.1 * weight
                weight.sub_(0.001 * step)
                momentum.copy_(0.99 * momentum + 0.01 * weight.grad)

    ours = trained(lambda model: [Lion(lr=0.001, weight_decay=0.1).build(model)])
    for name, value in trained(lambda model: [ByHand(model.parameters())]).items():
        torch.testing.assert_close(ours[name], value)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (TimmOptimizer(algorithm="lam"), r"timm has no optimizer 'lam'"),
        (TimmOptimizer(algorithm="adahessian"), "adahessian needs second derivatives"),
        pytest.param(
            TimmOptimizer(algorithm="kron"), "kron draws random numbers that are not part of its state", marks=with_kron
        ),
        (TimmOptimizer(options=bb.Options({"speed": 3})), "lamb does not take these options: .*speed"),
        (TimmOptimizer(algorithm="adamw", options=bb.Options({"momentum": 0.8})), "adamw .*: it has no momentum"),
        (
            TimmOptimizer(algorithm="sgd", options=bb.Options({"betas": [0.8, 0.9], "eps": 0.1})),
            "sgd does not take these options: it has no betas and no eps",
        ),
    ],
)
def test_optimizers_of_timm_that_cannot_be_used_are_refused(plugin: bb.Optimizer, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plugin.build(network())


@with_muon
def test_muon_needs_a_hidden_matrix_and_a_torch_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shallow = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    with pytest.raises(SpecError, match="no matrix to train in a hidden layer") as caught:
        Muon().build(shallow)
    assert "adamw" in caught.value.hint
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(SpecError, match=r"muon needs torch 2\.9, and this is"):
        Muon().build(network())


def test_an_optimizer_of_a_package_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "apex", None)
    with pytest.raises(SpecError, match="fusedsgd cannot be used here: APEX optimizers require apex"):
        TimmOptimizer(algorithm="fusedsgd").build(network())


class Attentive(nn.Module):
    """Has attention, a table that is looked up, and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)
        self.table = nn.Parameter(torch.randn(49, 2))
        self.head, self.head_dist = nn.Linear(8, 3), nn.Linear(8, 3)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return self.head, self.head_dist


@with_muon
def test_muon_leaves_tables_and_all_heads_to_adamw() -> None:
    model = Attentive()
    hidden, others = Muon(lr=0.5, adamw_lr=0.25).build(model).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(parameter)] for parameter in hidden["params"]} == {
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    }
    assert {"table", "head.weight", "head_dist.weight"} <= {names[id(parameter)] for parameter in others["params"]}


class Settled(nn.Module):
    """Names its second head in its settings alone, as VOLO does in timm."""

    pretrained_cfg: ClassVar = {"classifier": ("aux_head", "head")}

    def __init__(self) -> None:
        super().__init__()
        self.aux_head, self.hidden, self.head = nn.Linear(8, 3), nn.Linear(8, 8), nn.Linear(8, 3)

    def get_classifier(self) -> nn.Module:
        return self.head


@with_muon
def test_muon_leaves_a_second_head_to_adamw_that_only_the_settings_name() -> None:
    model = Settled()
    hidden, _ = Muon().build(model).param_groups
    assert [id(parameter) for parameter in hidden["params"]] == [id(model.hidden.weight)]


@with_muon
def test_one_cycle_of_the_momentum_of_muon_is_refused() -> None:
    muon = Muon().build(network())
    with pytest.raises(SpecError, match="no momentum to cycle"):
        OneCycle(cycle_momentum=True).build(muon, num_epochs=1, steps_per_epoch=2)


def test_an_optimizer_of_a_frozen_network_is_refused() -> None:
    with pytest.raises(SpecError, match="no parameter to train"):
        SGD().build(network().requires_grad_(False))


def rates(build: Callable[[torch.optim.Optimizer], Any], *, per_batch: bool, metric: bool = False) -> list[float]:
    """Return the learning rate of each step of a trial, in which the loss falls once and then no more."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = build(optimizer)
    used = []
    for epoch in range(NUM_EPOCHS):
        for _ in range(STEPS_PER_EPOCH):
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if per_batch:
                scheduler.step()
        if not per_batch:
            scheduler.step(1.0 if epoch else 2.0) if metric else scheduler.step()
    return used


@pytest.mark.parametrize(
    ("plugin", "theirs"),
    [
        (Exponential(gamma=0.5), lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5)),
        (MultiStep(milestones=(1, 3)), lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [1, 3])),
        (
            OneCycle(pct_start=0.25, div_factor=5),
            lambda optimizer: lr_scheduler.OneCycleLR(
                optimizer, 0.1, total_steps=20, pct_start=0.25, div_factor=5, cycle_momentum=False
            ),
        ),
        (
            Plateau(patience=0, factor=0.5),
            lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0),
        ),
    ],
    ids=["exponential", "multistep", "onecycle", "plateau"],
)
def test_rates_are_those_of_torch(plugin: bb.Scheduler, theirs: Callable[[torch.optim.Optimizer], Any]) -> None:
    how = {"per_batch": plugin.step_every == "batch", "metric": plugin.metric is not None}
    build = plugin.build
    ours = rates(lambda made: build(made, num_epochs=NUM_EPOCHS, steps_per_epoch=STEPS_PER_EPOCH), **how)
    assert ours == rates(theirs, **how)
    assert len(set(ours)) > 1


def test_a_line_ends_where_it_is_told_to() -> None:
    plugin = Linear(end_factor=0.2)
    ours = rates(
        lambda made: plugin.build(made, num_epochs=NUM_EPOCHS, steps_per_epoch=STEPS_PER_EPOCH), per_batch=True
    )
    assert ours == pytest.approx([0.1 * (1 - 0.8 * step / 20) for step in range(20)])


def test_half_a_cosine_of_one_rate_is_that_of_torch() -> None:
    ours = rates(
        lambda made: Cosine(min_lr=0.01).build(made, num_epochs=NUM_EPOCHS, steps_per_epoch=STEPS_PER_EPOCH),
        per_batch=True,
    )
    theirs = rates(lambda made: lr_scheduler.CosineAnnealingLR(made, T_max=20, eta_min=0.01), per_batch=True)
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(("highest", "ends"), [(0.02, [0.001, 0.000015]), (0.0005, [0.0005, 0.0003])])
def test_no_rate_rises_along_half_a_cosine(highest: float, ends: list[float]) -> None:
    """Also not those of other groups of parameters below the final rate, or all if the first is below it."""
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in (highest, 0.0003)]
    optimizer = torch.optim.SGD(groups)
    scheduler = Cosine(min_lr=0.001).build(optimizer, num_epochs=1, steps_per_epoch=4)
    for _ in range(4):
        before = [group["lr"] for group in optimizer.param_groups]
        optimizer.step()
        scheduler.step()
        assert all(group["lr"] <= old for group, old in zip(optimizer.param_groups, before, strict=True))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(ends)


def test_one_cycle_of_momentum_needs_a_momentum() -> None:
    plugin = OneCycle(cycle_momentum=True)
    adagrad = torch.optim.Adagrad(copy.deepcopy(network()).parameters())
    with pytest.raises(SpecError, match="no momentum to cycle"):
        plugin.build(adagrad, num_epochs=1, steps_per_epoch=1)


def test_one_cycle_of_momentum_is_around_the_momentum_of_the_optimizer() -> None:
    weights = list(copy.deepcopy(network()).parameters())
    plugin = OneCycle(cycle_momentum=True)
    sgd = torch.optim.SGD(weights, momentum=0.5)
    scheduler = plugin.build(sgd, num_epochs=1, steps_per_epoch=10)
    momenta = []
    for _ in range(9):
        momenta.append(sgd.param_groups[0]["momentum"])
        sgd.step()
        scheduler.step()
    assert momenta[0] == pytest.approx(0.5)
    assert min(momenta) == pytest.approx(0.5 * 0.85 / 0.95, abs=1e-3)
    with pytest.raises(SpecError, match="no momentum to cycle"):
        plugin.build(torch.optim.SGD(weights, momentum=0.0), num_epochs=1, steps_per_epoch=10)


def test_layer_decay_of_timm_lowers_the_steps_of_early_layers() -> None:
    model = Timm(architecture="mobilenetv3_small_050").build(bb.DataSpec(3, 32, 5))
    plugin = TimmOptimizer(algorithm="momentum", lr=0.1, options=bb.Options({"layer_decay": 0.5}))
    optimizer = plugin.build(model)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    steps = {name: float((before[name] - weight.detach()).mean()) for name, weight in model.named_parameters()}
    assert steps["classifier.weight"] == pytest.approx(0.1, rel=1e-3)
    assert 0 < steps["conv_stem.weight"] < steps["blocks.1.0.conv_pw.weight"] < 0.06


@pytest.mark.parametrize(("decay", "decayed"), [("all", {0.1}), ("matrices", {0.1, 0.0})])
def test_with_timm_all_weights_decay_if_all_are_to(decay: str, decayed: set[float]) -> None:
    model = network()
    model.no_weight_decay = lambda: {"3.weight"}  # type: ignore[assignment] # as networks of timm have it
    optimizer = TimmOptimizer(weight_decay=0.1, decay=decay).build(model)
    assert {group["weight_decay"] for group in optimizer.param_groups} == decayed


def test_one_cycle_may_rise_in_its_first_step_alone() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = OneCycle(pct_start=0.25, div_factor=5).build(optimizer, num_epochs=4, steps_per_epoch=1)
    used = []
    for _ in range(4):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert used[0] == pytest.approx(0.02)
    assert used[0] < used[1] > used[2] > used[3] > 0
