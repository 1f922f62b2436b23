"""``bench.report``: what an experiment answers, in one HTML file that opens without a network."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.compare import against_published, compare_records
from benchbench.compare.configurations import one_per_trial
from benchbench.driver.question import Study, find_records
from benchbench.driver.settings import default_experiment
from benchbench.driver.watcher import Watcher
from benchbench.errors import SpecError, TrackingError
from benchbench.records import files
from benchbench.report.gather import gather
from benchbench.report.page import write_report
from benchbench.report.subject import Subject
from benchbench.tracking.artifacts import log_report
from benchbench.tracking.grids import find_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    from benchbench.config.comparison import Compare, Expected
    from benchbench.driver.question import QuestionOptions
    from benchbench.records.record import Record
    from benchbench.report.material import Trial


@dataclass(frozen=True)
class Request:
    """What a report answers, and about which experiment and grid; the last two are empty without a file."""

    experiment: str
    text: str
    question: Compare
    expected: tuple[Expected, ...]
    grid_file: str = ""
    grid_name: str = ""


@dataclass(frozen=True)
class Made:
    """A report that was written: its files, how the trials ended, and the run that keeps it, if there is one.

    ``left_out`` says why figures could not be drawn, by their names.
    """

    path: Path
    counts: str
    figures: tuple[Path, ...]
    left_out: Mapping[str, str]
    run_id: str | None

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "report": str(self.path),
            "bytes": self.path.stat().st_size,
            "trials": self.counts,
            "figures": [str(path) for path in self.figures],
            "left_out": dict(self.left_out),
            "run_id": self.run_id,
        }


def report(
    experiment: str | None = None,
    output: str | Path = files.REPORT,
    *,
    figures: str | Path | None = None,
    log: bool = True,
    grid: str | Path | None = None,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> Path:
    """Write what an experiment answers into one HTML file, and return its path.

    ``figures`` is a folder for the figures of a paper. With ``log`` the report is also kept with the grid's own run
    in MLflow, if there is one. The rest is as in :func:`~benchbench.driver.compare.compare`.

    Raises :class:`~benchbench.errors.BenchError` before anything is written.
    """
    made = write_report_of(experiment, output, figures=figures, log=log, grid=grid, watcher=watcher, **options)
    return made.path


def write_report_of(
    experiment: str | None = None,
    output: str | Path = files.REPORT,
    *,
    figures: str | Path | None = None,
    log: bool = True,
    grid: str | Path | None = None,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> Made:
    """Write the same, and return everything that was made."""
    output, figures = Path(output), None if figures is None else Path(figures)
    _check_folders(output, figures)
    study = Study.read(grid)
    question = study.question(options)
    name = experiment or default_experiment()
    note = (watcher or Watcher()).note
    records = find_records(name, study, note)
    request = Request(name, study.text, question, study.expected, str(grid or ""), study.name)
    return make(request, records, output, note=note, figures=figures, log=log)


def make(
    request: Request,
    records: Sequence[Record],
    path: Path,
    *,
    note: Callable[[str], None],
    figures: Path | None = None,
    log: bool = True,
) -> Made:
    """Write the report, and figures if a folder for them is given; keep both with the grid's own run.

    ``note`` is told if they cannot be kept there, as in a store that may only be read.

    Raises :class:`~benchbench.errors.BenchError` before anything is written.
    """
    confidence = request.question.confidence
    comparison = compare_records(records, request.question)
    published = against_published(records, request.expected, confidence=confidence) if request.expected else ()
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        trials = tuple(gather(one_per_trial(records), Path(folder)))
        subject = Subject(request.experiment, request.text, comparison, trials, published, request.grid_file)
        write_report(subject, path)
        drawn, left_out = _draw(trials, figures) if figures else ((), {})
    run_id = _keep(request, records, path, figures, note) if log else None
    return Made(path, subject.counts, drawn, left_out, run_id)


def _check_folders(output: Path, figures: Path | None) -> None:
    """Raise :class:`SpecError` for a path that cannot be written to, before any work is done."""
    if output.is_dir():
        raise SpecError(f"-o {output} is a folder", hint=f"name a file in it, such as {output / 'report.html'}")
    _check_folder(output.parent, "-o")
    if figures is None:
        return
    if figures.exists() and not figures.is_dir():
        raise SpecError(f"--figures {figures} is not a folder", hint="name a folder; it is made if there is none")
    _check_folder(figures if figures.exists() else figures.parent, "--figures")


def _check_folder(folder: Path, option: str) -> None:
    if not folder.is_dir():
        raise SpecError(f"{option}: there is no folder {folder}", hint="make it first, or name another one")
    if not os.access(folder, os.W_OK):
        raise SpecError(f"{option}: the folder {folder} cannot be written to", hint="name another one")


def _draw(trials: Sequence[Trial], folder: Path) -> tuple[tuple[Path, ...], Mapping[str, str]]:
    from benchbench.report.paper import write_figures

    written = write_figures(trials, folder)
    return written.paths, written.left_out


def _keep(
    request: Request, records: Sequence[Record], path: Path, figures: Path | None, note: Callable[[str], None]
) -> str | None:
    """Put the report among the files of the grid's run, and return that run's id."""
    run_id = _parent(request, records)
    try:
        if run_id:
            log_report(run_id, path, figures)
    except TrackingError as error:
        note(error.message)
        return None
    return run_id


def _parent(request: Request, records: Sequence[Record]) -> str | None:
    runs = [record.mlflow for record in records if record.mlflow]
    if not runs:
        return None
    run_ids, file = [run.run_id for run in runs], Path(request.grid_file)
    return find_parent(run_ids, runs[0].experiment_id, name=request.grid_name, file=file)
