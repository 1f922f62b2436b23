"""``bench.report``: what an experiment answers, in one HTML file that opens without a network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.compare import against_published, compare_datasets, compare_records
from benchbench.compare.configurations import find_keys, one_per_trial
from benchbench.compare.images import records_by_dataset
from benchbench.driver.compare import compare_study_groups
from benchbench.driver.output_files import check_output, writing
from benchbench.driver.study import Study, StudyRecords, find_records
from benchbench.driver.watcher import Watcher
from benchbench.errors import SpecError, TrackingError
from benchbench.records import file_names
from benchbench.report.page import write_report
from benchbench.report.subject import Subject
from benchbench.report.trial_files import gather
from benchbench.tracking.grid_runs import find_parent
from benchbench.tracking.run_files import log_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from benchbench.compare import Comparison, DatasetComparison, PublishedRow
    from benchbench.compare.groups import ComparedGroup
    from benchbench.config.compare_section import Question
    from benchbench.driver.study import QuestionOptions
    from benchbench.records.record import Record


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written: its path, how the trials ended, and the run that keeps it, if there is one."""

    path: Path
    counts: str
    run_id: str | None

    def to_json(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "report": str(self.path),
            "bytes": self.path.stat().st_size,
            "trials": self.counts,
            "run_id": self.run_id,
        }


def report(
    experiment: str | None = None,
    output: str | Path = file_names.REPORT,
    *,
    log: bool = True,
    grid: str | Path | None = None,
    population: bool = False,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> Path:
    """Write an experiment's results and verdicts into one HTML file, and return its path.

    With ``log`` the report is also kept with the grid's own run in MLflow, if there is one.
    The rest is as in :func:`~benchbench.driver.compare.compare_groups`.

    Raises :class:`~benchbench.errors.BenchError` before anything is written.
    """
    written = write_experiment_report(
        experiment, output, log=log, grid=grid, population=population, watcher=watcher, **options
    )
    return written.path


def write_experiment_report(
    experiment: str | None = None,
    output: str | Path = file_names.REPORT,
    *,
    log: bool = True,
    grid: str | Path | None = None,
    population: bool = False,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> WrittenReport:
    """Write the report that :func:`report` writes; return its path, how the trials ended, and the run that keeps it."""
    output = Path(output)
    check_output(output, example=file_names.REPORT)
    study = Study.of_experiment(experiment, grid)
    question = study.asked(options)
    study.check_expected()
    note = (watcher or Watcher()).note
    asked = StudyRecords(study, question, find_records(study, note))
    return write_study_report(asked, output, note=note, log=log, population=population)


def write_study_report(
    asked: StudyRecords,
    path: Path,
    *,
    note: Callable[[str], None],
    log: bool = True,
    population: bool = False,
) -> WrittenReport:
    """Write the report, and keep a copy with the grid's own run.

    ``note`` is told if it cannot be kept there, as in a store that may only be read.

    Raises :class:`~benchbench.errors.BenchError` before anything is written.
    """
    study, question, records = asked.study, asked.question, asked.records
    groups = compare_study_groups(asked, note, population=population)
    published = _published(asked, note)
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        trials = tuple(gather(one_per_trial(records), Path(folder)))
        subject = Subject(
            experiment=study.experiment,
            headline=study.headline,
            comparison=_overall_comparison(records, groups, question),
            trials=trials,
            published=published,
            published_confidence=question.confidence,
            grid_file=study.file if study.name else "",
            groups=groups,
            over_datasets=None if study.design else _over_datasets(records, question, note),
        )
        with writing(path):
            write_report(subject, path)
    run_id = _keep(study, records, path, note) if log else None
    return WrittenReport(path, subject.counts, run_id)


def _overall_comparison(records: Sequence[Record], groups: Sequence[ComparedGroup], question: Question) -> Comparison:
    """Return the comparison that names the configurations of all charts: that of the only group, or of all trials."""
    comparison = groups[0].comparison if len(groups) == 1 else None
    # Of the seeds of a design alone, it may have fewer configurations.
    if comparison and find_keys([record.spec for record in records], comparison.by).by == comparison.by:
        return comparison
    # A baseline may be one of each group, and images of several datasets have nothing in common.
    by = question.by
    if by and "dataset" not in by and len({record.spec.dataset.name for record in records}) > 1:
        by = (*by, "dataset")
    return compare_records(records, question.model_copy(update={"baseline": {}, "by": by}))


def _published(asked: StudyRecords, note: Callable[[str], None]) -> tuple[PublishedRow, ...]:
    """Return our results beside the published ones of the file; ``note`` is told why if they cannot be compared."""
    study, question = asked.study, asked.question
    if not study.expected:
        return ()
    targets = question.targets | study.question.targets  # the rows of a file may name its own
    try:
        return against_published(asked.records, study.expected, confidence=question.confidence, targets=targets)
    except SpecError as error:
        note(f"not compared with published numbers: {error.in_one_line}")
        return ()


def _over_datasets(
    records: Sequence[Record], question: Question, note: Callable[[str], None]
) -> DatasetComparison | None:
    """Return the comparison over all datasets; None for a single one, or for another reason, which ``note`` is told."""
    if len(records_by_dataset(records)) == 1:
        return None
    try:
        return compare_datasets(records, question)
    except SpecError as error:
        note(f"not compared over all datasets: {error.message}")
        return None


def _keep(study: Study, records: Sequence[Record], path: Path, note: Callable[[str], None]) -> str | None:
    """Put the report among the files of the grid's run, and return that run's id."""
    try:
        run_id = _parent(study, records)
        if run_id:
            log_report(run_id, path)
    except TrackingError as error:
        note(error.message)
        return None
    return run_id


def _parent(study: Study, records: Sequence[Record]) -> str | None:
    runs = [record.mlflow for record in records if record.mlflow]
    if not runs:
        return None
    run_ids = [run.run_id for run in runs]
    return find_parent(run_ids, runs[0].experiment_id, name=study.name, file=Path(study.file))
