"""Tables that runs keep, read again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from benchbench.errors import TrackingError
from benchbench.report.kept_files import ClassRow, read_confusion_matrix, read_per_class

if TYPE_CHECKING:
    from pathlib import Path


def test_a_class_without_test_images_has_no_number_as_its_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "per_class.csv"
    path.write_text("class,images,correct,accuracy\ngoldfish,2,1,0.5\ncat,0,0,\n", encoding="utf-8")
    first, second = read_per_class(path)
    assert first == ClassRow("goldfish", 2, 0.5)
    assert (second.class_name, second.images, math.isnan(second.accuracy)) == ("cat", 0, True)


def test_a_confusion_matrix_may_have_more_predictions_than_classes(tmp_path: Path) -> None:
    path = tmp_path / "confusion_matrix.csv"
    path.write_text("class,goldfish,cat,(other)\ngoldfish,1,0,2\ncat,0,3,0\n", encoding="utf-8")
    class_names, predictions, counts = read_confusion_matrix(path)
    assert class_names == ("goldfish", "cat")
    assert predictions == ("goldfish", "cat", "(other)")
    assert counts.tolist() == [[1, 0, 2], [0, 3, 0]]


def test_a_table_without_a_column_is_named_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "per_class.csv"
    path.write_text("class,images\ngoldfish,2\n", encoding="utf-8")
    with pytest.raises(TrackingError, match=r"per_class\.csv that a run keeps is damaged: KeyError"):
        read_per_class(path)
