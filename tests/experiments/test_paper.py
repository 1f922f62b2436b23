"""The paper's figures of trials that never ran: what they say is looked up in their texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import paper_best
import paper_curves
import paper_network
import pytest
import torch
from figures import Written, write_figures
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from paper_network import Row
from PIL import Image
from support import journals, made_records
from torch import nn

from benchbench.config.differences import varying
from benchbench.config.spec import PluginSpec
from benchbench.plugin.dataset import Split, Splits
from benchbench.records.file_names import SAMPLES
from benchbench.report.run_figures import CORRECT_COLOR, WRONG_COLOR
from benchbench.report.trial_files import TrialFiles
from benchbench.worker.artifact_tables import save_layers
from benchbench.worker.artifacts import write_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.records.record import Record

pytestmark = pytest.mark.slow
ADAM = PluginSpec("adam", 1, {"lr": 0.001})
NAMES = {
    "figure-1-architecture",
    "figure-2-samples",
    "figure-3-optimizers",
    "figure-4-batch-sizes",
    "figure-5-accuracy",
    "figure-6-loss",
    "figure-7-right",
    "figure-8-wrong",
    "figure-9-classes",
}


def kept(folder: Path, level: ArtifactLevel) -> Path:
    """Return a folder with what a run keeps: of twelve test images, a third is taken for the next class."""
    numbers = torch.arange(12) % 3
    split = Split(torch.zeros(12, 3, 8, 8, dtype=torch.uint8), numbers)
    guesses = torch.eye(3)[(numbers + (torch.arange(12) % 3 == 0)) % 3]
    artifacts = folder / "artifacts"
    write_predictions(artifacts, guesses, Splits(split, split, split, journals.CLASSES), level=level)
    save_layers(artifacts / "layers.csv", nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), torch.zeros(1, 3, 8, 8))
    for path in list(folder.rglob(SAMPLES)):
        path.replace(artifacts / SAMPLES)
    return artifacts


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(tmp_path_factory.mktemp("full"), "full")


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(tmp_path_factory.mktemp("light"), "light")


def experiment() -> list[Record]:
    """Return two optimizers, two batch sizes and two seeds."""
    return [
        made_records.made(replace(spec, batch_size=batch_size))
        for seed in (0, 1)
        for spec in (made_records.spec(seed), replace(made_records.spec(seed), optimizer=ADAM))
        for batch_size in (12, 32)
    ]


def trials(records: list[Record], artifacts: Path) -> list[TrialFiles]:
    return [TrialFiles(record, artifacts) for record in records]


def keys(records: list[Record]) -> tuple[str, ...]:
    return varying([record.spec for record in records])


def texts(figure: Figure | str) -> list[str]:
    assert isinstance(figure, Figure), figure
    return [item.get_text() for item in figure.findobj(Text) if item.get_text() and item.get_visible()]


@pytest.fixture(scope="module")
def written(full: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_figures(trials(experiment(), full), tmp_path_factory.mktemp("figures") / "new")


def test_an_experiment_with_all_material_has_all_nine_as_png_and_svg(written: Written) -> None:
    assert {path.name for path in written.paths} == {f"{name}.{form}" for name in NAMES for form in ("png", "svg")}
    assert written.left_out == {}
    for path in written.paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert min(image.size) > 300
        else:
            assert path.read_text().startswith("<?xml")


def test_what_there_is_no_material_for_is_left_out_with_its_reason(light: Path, tmp_path: Path) -> None:
    found = write_figures(trials([made_records.made(made_records.spec())], light), tmp_path)
    assert {path.stem for path in found.paths} == {
        "figure-1-architecture",
        "figure-5-accuracy",
        "figure-6-loss",
        "figure-9-classes",
    }
    assert found.left_out == {
        "figure-2-samples": "the trials kept no images: --artifacts full keeps them",
        "figure-3-optimizers": "optimizer is the same in all trials",
        "figure-4-batch-sizes": "batch size is the same in all trials",
        "figure-7-right": "the best trial kept no images: --artifacts full keeps them",
        "figure-8-wrong": "the best trial kept no images: --artifacts full keeps them",
    }


def test_no_trials_make_no_figures(tmp_path: Path) -> None:
    found = write_figures([], tmp_path)
    assert found.paths == ()
    assert set(found.left_out) == NAMES


def test_trials_without_an_epoch_or_a_file_do_no_harm(tmp_path: Path) -> None:
    record = replace(made_records.ended(made_records.spec(), "failed"), epochs=())
    found = write_figures([TrialFiles(record, tmp_path / "nowhere")], tmp_path / "figures")
    assert found.paths == ()
    assert found.left_out["figure-5-accuracy"] == "no trial has finished an epoch"
    assert found.left_out["figure-9-classes"] == "no trial has finished"


def test_the_same_trials_make_the_same_files(light: Path, tmp_path: Path) -> None:
    record = made_records.made(made_records.spec())
    first, second = (write_figures([TrialFiles(record, light)], tmp_path / name).paths for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_curves_of_a_parameter_say_what_they_are_means_of(light: Path) -> None:
    records = experiment()
    records[0] = replace(records[0], status="failed", final=None)
    figure = paper_curves.by_parameter(trials(records, light), keys(records), "optimizer")
    found = texts(figure)
    assert "sgd (n=3), 1 not finished" in found
    assert "adam (n=4)" in found
    assert "means over trials that differ in batch_size, seed; bands: ± one standard deviation" in found


def test_the_middle_of_a_band_is_the_mean_and_its_width_the_deviation(light: Path) -> None:
    records = [*made_records.configuration(0.1, [0.5, 0.5, 0.5]), *made_records.configuration(0.2, [0.5])]
    records = [with_accuracy(record, value) for record, value in zip(records, (0.2, 0.3, 0.7, 0.5), strict=True)]
    figure = paper_curves.by_parameter(trials(records, light), keys(records), "optimizer.lr")
    assert isinstance(figure, Figure)
    validation = figure.axes[1]
    assert list(validation.lines[0].get_ydata()) == pytest.approx([0.4, 0.4, 0.4])
    band = validation.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0.4 - 0.26458, 0.4 + 0.26458), abs=1e-4)


def test_a_mean_ends_with_the_shortest_of_its_trials(light: Path) -> None:
    records = [*made_records.configuration(0.1, [0.5, 0.5]), *made_records.configuration(0.2, [0.5])]
    records[0] = replace(records[0], epochs=records[0].epochs[:2])
    figure = paper_curves.by_parameter(trials(records, light), keys(records), "optimizer.lr")
    assert isinstance(figure, Figure)
    assert [list(line.get_xdata()) for line in figure.axes[1].lines] == [[1, 2], [1, 2, 3]]


def with_accuracy(record: Record, value: float) -> Record:
    return replace(record, epochs=tuple(replace(epoch, val_accuracy=value) for epoch in record.epochs))


def test_every_other_parameter_that_varies_has_a_figure_too(light: Path, tmp_path: Path) -> None:
    records = [*made_records.configuration(0.1, [0.5, 0.6]), *made_records.configuration(0.2, [0.5, 0.6])]
    found = write_figures(trials(records, light), tmp_path)
    assert "figure-3-optimizer-lr.png" in {path.name for path in found.paths}


def test_all_trials_stand_in_the_order_of_validation_and_early_ends_are_marked(light: Path) -> None:
    good, bad = made_records.configuration(0.1, [0.5, 0.6])
    bad = replace(bad, status="killed", final=None)
    figure = paper_curves.all_trials(trials([good, bad], light), keys([good, bad]), "loss")
    assert isinstance(figure, Figure)
    assert [item.get_text() for item in figure.legends[0].get_texts()] == ["seed=0", "seed=1 (killed)"]
    assert "x" in {line.get_marker() for line in figure.axes[0].lines}


def test_of_many_trials_the_best_alone_is_told_apart(light: Path) -> None:
    records = made_records.configuration(0.1, [0.9 - 0.01 * seed for seed in range(20)])
    figure = paper_curves.all_trials(trials(records, light), keys(records), "accuracy")
    assert isinstance(figure, Figure)
    assert [item.get_text() for item in figure.legends[0].get_texts()] == ["seed=0", "19 others"]


def test_right_and_wrong_predictions_have_their_color_and_their_mark(full: Path) -> None:
    best = TrialFiles(made_records.made(made_records.spec()), full)
    for is_right, mark, color in ((True, "✓", CORRECT_COLOR), (False, "✗", WRONG_COLOR)):
        figure = paper_best.predictions(best, is_right=is_right)
        assert isinstance(figure, Figure)
        titles = [axes.title for axes in figure.axes if axes.title.get_text()]
        assert titles
        assert all(mark in title.get_text() and to_hex(title.get_color()) == color.lower() for title in titles)


def test_the_intervals_of_classes_are_those_of_wilson(tmp_path: Path) -> None:
    (tmp_path / "per_class.csv").write_text("class,images,correct,accuracy\ngoldfish,50,46,0.92\nnone,0,0,\n")
    figure = paper_best.classes(TrialFiles(made_records.made(made_records.spec()), tmp_path))
    # Newcombe's formula 3, Statistics in Medicine 17, 1998, for 46 of 50.
    assert "92.0%  [81.2%, 96.8%]  n=50" in texts(figure)


def test_the_architecture_has_the_totals_of_the_network(full: Path) -> None:
    figure = paper_network.architecture([TrialFiles(made_records.made(made_records.spec()), full)])
    assert isinstance(figure, Figure)
    found = [cell.get_text().get_text() for cell in figure.axes[0].tables[0].get_celld().values()]
    assert {"4x6x6", "Conv2d", "112", "3,888"} <= set(found)
    assert found.count("112") == found.count("3,888") == 2


def test_the_layers_of_a_large_network_stand_in_blocks_that_lose_nothing() -> None:
    rows = [Row(f"stage{stage}.{place}.conv", "Conv2d", "8x4x4", 10, 100) for stage in range(4) for place in range(20)]
    found = paper_network.blocks(rows)
    assert [(row.layer, row.kind) for row in found] == [(f"stage{stage}", "20 layers") for stage in range(4)]
    assert sum(row.parameters for row in found) == 800
    assert paper_network.blocks(rows[:5]) == rows[:5]


def test_each_model_has_its_architecture(light: Path, tmp_path: Path) -> None:
    records = [made_records.made(made_records.spec())]
    records.append(made_records.made(replace(made_records.spec(), model=PluginSpec("resnet", 1, {}))))
    found = write_figures(trials(records, light), tmp_path)
    names = {path.stem for path in found.paths}
    assert {"figure-1-architecture-alexnet", "figure-1-architecture-resnet", "figure-4-model"} <= names
