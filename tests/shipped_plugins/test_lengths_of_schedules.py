"""Schedules say truly whether the number of epochs changes their rates: longer trials go on by it."""

from __future__ import annotations

import warnings

import pytest
import torch

import benchbench as bb
from benchbench.plugin.registry import Registry

REGISTRY = Registry.load()
NAMES = sorted(name for kind, name in REGISTRY.origins if kind == "scheduler")


def rates(scheduler: bb.Scheduler, num_epochs: int) -> list[float]:
    """Return the learning rates of four epochs of three steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    rule = scheduler.build(optimizer, num_epochs=num_epochs, steps_per_epoch=3)
    told = []
    for _ in range(4):
        for _ in range(3):
            told.append(float(optimizer.param_groups[0]["lr"]))
            if scheduler.step_every == "batch":
                rule.step()  # type: ignore[call-arg]
        if scheduler.metric is not None:
            rule.step(1.0)  # type: ignore[arg-type]
        elif scheduler.step_every == "epoch":
            rule.step()  # type: ignore[call-arg]
    return told


@pytest.mark.parametrize("name", NAMES)
def test_rates_depend_on_the_number_of_epochs_if_and_only_if_the_scheduler_says_so(name: str) -> None:
    plugin = REGISTRY.get("scheduler", name)
    assert issubclass(plugin, bb.Scheduler)
    scheduler = plugin()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        assert (rates(scheduler, 5) != rates(scheduler, 50)) == scheduler.depends_on_length
