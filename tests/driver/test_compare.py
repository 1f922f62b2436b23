"""Comparisons of an experiment's groups, on a real MLflow store of made trials."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals
from support.made_records import events, spec
from support.stores import Filler

from benchbench.driver.compare import compare, compare_groups
from benchbench.errors import TrackingError
from benchbench.records.state import state_folder
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path

ACCURACIES = {0.001: [0.50, 0.52, 0.57, 0.54, 0.50], 0.005: [0.53, 0.54, 0.60, 0.56, 0.52]}


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Store.open(None, "bench")


def run_seeds(store: Store, seeds: range, *, dataset: str = "squares", keeps_predictions: bool = False) -> None:
    """Deliver trials of these seeds of two learning rates on a dataset."""
    filler, plugin = Filler(state_folder()), replace(journals.SPEC.dataset, name=dataset)
    for (lr, accuracies), right in zip(ACCURACIES.items(), ("1" * 12, "1000" * 3), strict=True):
        for seed in seeds:
            told = events(spec(seed, lr=lr, dataset=plugin), accuracies[seed])
            filler.trial(store, told, right=right if keeps_predictions else "")


def test_a_group_without_predictions_has_a_warning_and_the_others_verdicts_on_images_like_these(store: Store) -> None:
    run_seeds(store, range(3), keeps_predictions=True)
    run_seeds(store, range(3), dataset="circles")
    squares, circles = compare_groups(population=True)
    assert squares.over_images is not None
    assert [row.kind for row in squares.over_images.rows] == ["worse"]
    assert squares.comparison is not None
    assert squares.comparison.warnings == ()
    assert circles.over_images is None
    assert circles.comparison is not None
    (warning,) = circles.comparison.warnings
    assert re.match("not compared on images like the test images: the run [0-9a-f]{32} keeps no predictions", warning)


def test_no_look_is_recorded_if_no_group_has_the_predictions_that_were_asked_for(store: Store) -> None:
    run_seeds(store, range(3))
    with pytest.raises(TrackingError, match="keeps no predictions"):
        compare_groups(population=True)
    run_seeds(store, range(3, 5))
    assert compare().confidence == 0.95
