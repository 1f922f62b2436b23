"""``bench.export_results`` and ``bench.import_results``: results that are taken elsewhere in one file."""

from __future__ import annotations

import os
import tempfile
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from benchbench import variables
from benchbench.config.defaults import ArtifactLevel, default_experiment
from benchbench.driver.output_files import check_output
from benchbench.driver.settings import check_choice
from benchbench.driver.watcher import Watcher
from benchbench.records import results_file
from benchbench.records.sqlite_addresses import sqlite_uri
from benchbench.records.state import locked, state_folder
from benchbench.tracking import Store
from benchbench.tracking.exporting import Exported, export_runs
from benchbench.tracking.importing import Imported, import_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def export_results(
    output: str | Path,
    experiment: str | None = None,
    *,
    runs: Sequence[str] = (),
    artifacts: ArtifactLevel = "light",
    watcher: Watcher | None = None,
) -> Exported:
    """Write the trials, grids and timings of an experiment into one file, and return how many there were.

    ``runs`` names some of them, by the beginning of their MLflow ids or by their names; their grids and their trials
    are included. ``artifacts``: ``none`` (records), ``light`` (all tables) or ``full`` (figures and models too). The
    file has no absolute paths and no credentials, except for paths that are parameters of a spec.

    Raises :class:`~benchbench.errors.BenchError`, and writes nothing then.
    """
    path = Path(output)
    check_choice("artifacts", artifacts, get_args(ArtifactLevel))
    check_output(path, example=f"results{results_file.SUFFIX}")
    name = experiment or default_experiment()
    return export_runs(name, path, named=runs, level=artifacts, progress=_progress("exporting", watcher))


def import_results(file: str | Path, *, experiment: str | None = None, watcher: Watcher | None = None) -> Imported:
    """Import the runs of a results file into the tracking store, and return how many were new.

    They go to the experiment that they came from, or to ``experiment``. Spec ids, attempts, times, parents and
    children stay what they are. Runs that are there already are left as they are, so a second import changes nothing.

    Raises :class:`~benchbench.errors.BenchError` for a file that cannot be read and a store that cannot be written.
    """
    with results_file.read(Path(file)) as reader, _alone(watcher or Watcher()):
        store = Store.open(experiment=experiment or reader.manifest.experiment)
        if store.note and watcher:
            watcher.note(store.note)
        return import_runs(reader, store, progress=_progress(f"importing {Path(file).name}", watcher))


@contextmanager
def opened_results(experiment: str, *, watcher: Watcher | None = None) -> Iterator[str]:
    """Give the name of an experiment that can be read; ``results.bench`` is a results file, read where it lies.

    It is imported into a temporary store, which this process uses until the block ends.
    Raises :class:`~benchbench.errors.BenchError` for a file that cannot be read.
    """
    file = Path(experiment)
    if file.suffix != results_file.SUFFIX:
        yield experiment
        return
    with (
        results_file.read(file) as reader,
        tempfile.TemporaryDirectory(prefix="benchbench-") as folder,
        _environment(
            {"MLFLOW_TRACKING_URI": sqlite_uri(Path(folder) / "mlflow.db"), variables.STATE: f"{folder}/.bench"}
        ),
    ):
        with chdir(folder):  # MLflow makes mlruns/ in the working folder
            store = Store.open(experiment=reader.manifest.experiment)
            import_runs(reader, store, progress=_progress(f"reading {file.name}", watcher))
        yield store.experiment


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _alone(watcher: Watcher) -> Iterator[None]:
    """Let one process at a time import into this folder: concurrent imports would create the same run twice."""
    watcher.status("waiting for another import")
    with locked(state_folder() / "import.lock"):
        yield


def _progress(text: str, watcher: Watcher | None) -> Callable[[int, int], None]:
    listener = watcher or Watcher()
    return lambda done, total: listener.status(f"{text}: run {done + 1} of {total}")
