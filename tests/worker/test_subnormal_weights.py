"""Epochs that are slow since the weights have vanished."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import journals

from benchbench.records.record import Record
from benchbench.worker.subnormal_weights import slow_epoch_note, subnormal_fraction


def test_weights_whose_products_are_subnormal_are_counted_and_zeros_are_not() -> None:
    weights = [torch.tensor([1.0, 1e-3, 0.0, -1e-30]), torch.full((4,), 1e-40), torch.arange(2)]
    assert subnormal_fraction(weights) == 5 / 8
    assert subnormal_fraction([torch.tensor([1e-30], dtype=torch.float64)]) == 0
    assert subnormal_fraction([]) == 0


@pytest.mark.parametrize(("seconds", "size", "is_told"), [(7.0, 1e-30, True), (1.5, 1e-30, False), (7.0, 1e-3, False)])
def test_a_slow_epoch_is_explained_by_weights_that_have_vanished(*, seconds: float, size: float, is_told: bool) -> None:
    note = slow_epoch_note(5, seconds, 1.0, [torch.full((10,), size)])
    assert ("epoch 5 took 7.0 times as long as the fastest: 100% of the weights" in note) == is_told


def test_the_note_stays_with_a_trial_that_was_interrupted_and_comes_once() -> None:
    interrupted = Record.of([journals.started(), replace(journals.failed(status="killed"), notes=("slow",))])
    assert interrupted.notes == ("slow",)
    assert interrupted.then(replace(journals.finished(), notes=("slow", "done"))).notes == ("slow", "done")
