"""The figures of the paper "Optimizing AlexNet on Tiny ImageNet10" (Alqadi and Lucas, 2020), of any experiment.

::

    python experiments/paper/figures.py EXPERIMENT -o FOLDER
    python experiments/paper/figures.py EXPERIMENT --grid FILE -o FOLDER    # of the trials of a grid alone

::

    figure-1-architecture          layers, outputs, parameters, multiply-adds; one for each model
    figure-2-samples               training images of each class
    figure-3-optimizers, ...       accuracy by what the optimizers differ in
    figure-4-batch-sizes, ...      accuracy by what else varies
    figure-5-accuracy              of all trials, training and validation
    figure-6-loss                  the same
    figure-7-right, figure-8-wrong test images with the predictions of the best trial
    figure-9-classes               its test accuracy by class

The best trial is the best by validation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import paper_best
import paper_curves
import paper_network

import benchbench as bb
from benchbench.compare.configurations import one_per_trial
from benchbench.config.differences import varying
from benchbench.driver.study import Study, find_records
from benchbench.records import file_names
from benchbench.report.drawing import styled
from benchbench.report.trial_files import gather

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure

    from benchbench.records.record import Record
    from benchbench.report.trial_files import TrialFiles

    Drawing = tuple[str, Figure | str]
    """The name of a figure, and the figure or the reason why there is none."""

FORMATS = ("png", "svg")
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Written:
    """The files that were written, and by the names of figures why others were not."""

    paths: tuple[Path, ...]
    left_out: Mapping[str, str]


def write_figures(trials: Sequence[TrialFiles], folder: Path) -> Written:
    """Write each figure that the trials have the material for, as PNG and SVG.

    The folder is created if needed, and files of the same names are replaced. Of several trials with one spec, the
    newest finished one counts, as in comparisons. Raises :class:`OSError` if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    left_out: dict[str, str] = {}
    with styled(), mpl.rc_context({"svg.hashsalt": "benchbench"}):
        for name, drawn in _drawings(_one_per_trial(trials)):
            if isinstance(drawn, str):
                left_out[name] = drawn
            else:
                paths += [_save(drawn, folder / f"{name}.{form}") for form in FORMATS]
    return Written(tuple(paths), left_out)


def _drawings(trials: Sequence[TrialFiles]) -> Iterator[Drawing]:
    keys = varying([trial.record.spec for trial in trials])
    ranked = sorted(trials, key=lambda trial: trial.record.rank, reverse=True)
    yield from _architectures(ranked)
    yield "figure-2-samples", paper_best.samples(ranked)
    yield from _by_parameter(trials, keys)
    yield "figure-5-accuracy", paper_curves.all_trials(ranked, keys, "accuracy")
    yield "figure-6-loss", paper_curves.all_trials(ranked, keys, "loss")
    best = ranked[0] if ranked and ranked[0].record.final else None
    yield "figure-7-right", paper_best.predictions(best, is_right=True)
    yield "figure-8-wrong", paper_best.predictions(best, is_right=False)
    yield "figure-9-classes", paper_best.classes(best)


def _architectures(ranked: Sequence[TrialFiles]) -> Iterator[Drawing]:
    best_of: dict[str, list[TrialFiles]] = {}
    for trial in ranked:
        best_of.setdefault(trial.record.spec.model.name, []).append(trial)
    name = "figure-1-architecture"
    if not best_of:
        yield name, "there are no trials"
    for model, group in best_of.items():
        yield name if len(best_of) == 1 else f"{name}-{model}", paper_network.architecture(group)


def _by_parameter(trials: Sequence[TrialFiles], keys: Sequence[str]) -> Iterator[Drawing]:
    """Yield a figure for each parameter that varies; those of the paper are named if they do not."""
    for key in dict.fromkeys(("optimizer", "batch_size", *keys)):
        if key == "seed":
            continue
        number = 3 if key.partition(".")[0] == "optimizer" else 4
        title = {"optimizer": "optimizers", "batch_size": "batch-sizes"}.get(key) or key.replace(".", "-")
        same = f"{key.replace('_', ' ')} is the same in all trials"
        drawn = paper_curves.by_parameter(trials, keys, key) if key in keys else same
        yield f"figure-{number}-{title}", drawn


def _one_per_trial(trials: Sequence[TrialFiles]) -> list[TrialFiles]:
    by_attempt = {trial.record.attempt: trial for trial in trials}
    return [by_attempt[record.attempt] for record in one_per_trial(trial.record for trial in trials)]


def _save(figure: Figure, path: Path) -> Path:
    # Without a date, and with names that are not drawn by chance, the same trials give the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata=metadata)
    return path


def _records(experiment: str, grid: Path | None) -> list[Record]:
    if grid is None:
        return bb.load_records(experiment)
    return find_records(Study.of_experiment(experiment, grid), note=lambda text: print(text, file=sys.stderr))


def main() -> None:
    """Write the figures of an experiment, and say which are left out and why."""
    parser = argparse.ArgumentParser(description="Draw the figures of the paper from the trials of an experiment.")
    parser.add_argument("experiment", help="an MLflow experiment with finished trials")
    parser.add_argument("--grid", type=Path, help="a grid file: only its trials are drawn")
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), help="the folder to write to")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            records = _records(options.experiment, options.grid)
            trials = gather(one_per_trial(records), Path(folder), more=(file_names.LAYERS,))
            written = write_figures(trials, options.output)
    except bb.BenchError as error:
        sys.exit(f"error: {error}")
    for path in written.paths:
        print(path)
    for name, reason in written.left_out.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
