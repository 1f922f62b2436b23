"""A trial's figures: what they say is looked up in their texts, that they are drawn in their files."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image
from support import journals
from support.seen_images import keep_seen

from benchbench.plugin.dataset import Split, Splits
from benchbench.records.record import Record
from benchbench.report import run_figures
from benchbench.report.kept_files import ClassRow, PredictedImage
from benchbench.worker.artifacts import write_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from benchbench.records.journal import Journal


def texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text() and item.get_visible()]


def record(*, num_epochs: int = 3) -> Record:
    events = [journals.epoch(number) for number in range(1, num_epochs + 1)]
    return Record.of([journals.started(), *events, journals.finished()])


def image(*, class_name: str, prediction: str, num_channels: int = 3) -> PredictedImage:
    return PredictedImage(np.zeros((num_channels, 4, 4), np.uint8), class_name, prediction, 0.97)


def finished_journal(folder: Path, class_names: tuple[str, ...], *, num_channels: int = 3) -> Journal:
    journal = journals.write_journal(
        folder,
        journals.started(class_names=class_names),
        journals.epoch(1),
        journals.epoch(2),
        journals.finished(class_names=class_names),
    )
    numbers = torch.arange(4 * len(class_names)) % len(class_names)
    images = torch.zeros(len(numbers), num_channels, 8, 8, dtype=torch.uint8)
    split = Split(images, numbers)
    probabilities = torch.eye(len(class_names))[(numbers + (torch.arange(len(numbers)) % 3 == 0)) % len(class_names)]
    write_predictions(journal.artifacts, probabilities, Splits(split, split, split, class_names), level="full")
    return journal


@pytest.mark.parametrize("num_channels", [1, 3])
def test_a_finished_trial_leaves_five_figures(tmp_path: Path, num_channels: int) -> None:
    journal = finished_journal(tmp_path, journals.CLASSES, num_channels=num_channels)
    keep_seen(journal.artifacts, journals.CLASSES, num_channels=num_channels)
    run_figures.draw(journal, print)
    sizes = {}
    for path in (journal.artifacts / "figures").iterdir():
        with Image.open(path) as image:
            sizes[path.name] = image.size
    assert set(sizes) == {
        "curves.png",
        "accuracy_per_class.png",
        "confusion_matrix.png",
        "test_images.png",
        "training_images.png",
    }
    for width, height in sizes.values():
        assert 300 < width < 2000
        assert 200 < height < 2000


def test_a_killed_trial_leaves_its_curves_alone(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.failed(status="killed"))
    run_figures.draw(journal, print)
    assert [path.name for path in (journal.artifacts / "figures").iterdir()] == ["curves.png"]


def test_a_trial_without_an_epoch_leaves_no_figure(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.failed())
    run_figures.draw(journal, print)
    assert not (journal.artifacts / "figures").exists()


def test_drawing_changes_no_setting_of_matplotlib(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    run_figures.draw(finished_journal(tmp_path, journals.CLASSES), print)
    assert dict(mpl.rcParams) == before


def test_the_curves_name_the_epoch_of_least_validation_loss() -> None:
    found = texts(run_figures.curves(record()))
    assert "lowest validation loss: 0.733, epoch 3" in found
    assert {"training", "validation", "accuracy", "cross-entropy loss"} <= set(found)


def test_the_curves_of_a_killed_trial_say_how_far_it_came() -> None:
    killed = Record.of([journals.started(), journals.epoch(1), journals.failed(status="killed")])
    assert "alexnet · sgd · squares · seed 7 · killed after 1 of 3 epochs" in texts(run_figures.curves(killed))


def test_losses_that_are_no_numbers_leave_a_gap() -> None:
    broken = Record.of([journals.started(), journals.epoch(1), journals.NAN_EPOCH, journals.failed()])
    assert "lowest validation loss: 2.200, epoch 1" in texts(run_figures.curves(broken))
    nothing = replace(
        broken, epochs=tuple(replace(epoch, val_loss=math.nan, train_loss=math.inf) for epoch in broken.epochs)
    )
    assert not any("least" in text for text in texts(run_figures.curves(nothing)))


def test_bars_come_in_the_order_of_the_classes_with_value_and_number() -> None:
    rows = [
        ClassRow("goldfish", 50, 0.5),
        ClassRow("cat", 40, 1.0),
        ClassRow("dog", 0, math.nan),
    ]
    found = texts(run_figures.accuracy_per_class(rows, record()))
    assert [text for text in found if text in ("goldfish", "cat", "dog")] == ["goldfish", "cat", "dog"]
    assert {"50.0%   n=50", "100.0%   n=40", "no images"} <= set(found)


def test_the_confusion_matrix_shows_counts_that_are_not_zero() -> None:
    counts = np.array([[48, 2], [0, 31]])
    found = texts(run_figures.confusion_matrix(("goldfish", "cat"), ("goldfish", "cat"), counts))
    assert {"48", "2", "31"} <= set(found)
    assert "0" not in found


def test_a_confusion_matrix_of_many_classes_names_some_of_them_and_counts_none() -> None:
    class_names = tuple(f"class {number}" for number in range(200))
    found = texts(run_figures.confusion_matrix(class_names, class_names, np.eye(200, dtype=np.int64) * 7))
    assert "7" not in found
    assert "class 0" in found
    assert "class 1" not in found


def test_a_right_prediction_is_green_and_a_wrong_one_red_and_both_say_so() -> None:
    images = [image(class_name="goldfish", prediction="goldfish"), image(class_name="goldfish", prediction="bullfrog")]
    figure = run_figures.predicted_images(images, record())
    shown = {item.get_text(): to_hex(item.get_color()) for axes in figure.axes for item in [axes.title]}
    assert shown["goldfish ✓ 97%"] == run_figures.CORRECT_COLOR.lower()
    assert shown["bullfrog ✗ 97%\nis goldfish"] == run_figures.WRONG_COLOR.lower()


def test_classes_of_any_script_length_and_sign_can_be_drawn(tmp_path: Path) -> None:
    class_names = ("金魚", "costs $5 and $6", "a" * 200, "line\nbreak")
    journal = finished_journal(tmp_path, class_names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_figures.draw(journal, print)
    assert len(list((journal.artifacts / "figures").iterdir())) == 4


def test_long_names_are_cut() -> None:
    assert run_figures.short("a" * 24) == "a" * 24
    assert run_figures.short("a" * 25) == "a" * 23 + "…"


def test_a_backend_that_is_not_installed_does_not_keep_figures_from_being_drawn(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from benchbench.report import drawing;"
        " drawing.save_png(drawing.Figure(), Path(sys.argv[1])); print(os.environ['MPLBACKEND'])"
    )
    path = tmp_path / "figures" / "empty.png"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env=os.environ | {"MPLBACKEND": "module://nowhere.backend_inline"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "module://nowhere.backend_inline"
    assert path.stat().st_size > 0


def test_a_figure_that_cannot_be_drawn_is_a_note_and_the_others_are_drawn(tmp_path: Path) -> None:
    journal = finished_journal(tmp_path, journals.CLASSES)
    (journal.artifacts / "figures" / "curves.png").mkdir(parents=True)
    notes: list[str] = []
    run_figures.draw(journal, notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("no figure curves: ")
    assert (journal.artifacts / "figures" / "confusion_matrix.png").is_file()
