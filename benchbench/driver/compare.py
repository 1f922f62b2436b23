"""``bench.compare``: whether differences between configurations are larger than the noise between seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchbench.compare import against_published, compare_datasets, compare_populations, compare_predictions
from benchbench.compare.caveats import few_seeds_of_baseline, late_baseline_warnings
from benchbench.compare.configurations import one_per_trial
from benchbench.compare.groups import num_configurations, with_comparisons
from benchbench.compare.metric_values import find_metrics, values_of
from benchbench.driver.repeated_looks import (
    LookRecorder,
    compare_and_record_look,
    compare_groups_and_record_looks,
    groups_of,
)
from benchbench.driver.study import Study, StudyRecords, find_records
from benchbench.driver.watcher import Watcher
from benchbench.errors import BenchError, SpecError
from benchbench.records.run_ids import only_match
from benchbench.tracking.look_history import open_look_history

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Unpack

    from benchbench.compare import Comparison, DatasetComparison, ModelComparison, PopulationComparison, PublishedRow
    from benchbench.compare.groups import ComparedGroup
    from benchbench.config.compare_section import Question
    from benchbench.driver.study import QuestionOptions
    from benchbench.records.record import Record


@dataclass(frozen=True)
class Published:
    """Published results beside ours, with intervals of this confidence."""

    rows: tuple[PublishedRow, ...]
    confidence: float


def compare(
    experiment: str | None = None,
    *,
    grid: str | Path | None = None,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> Comparison:
    """Return the comparison of an experiment's configurations over their seeds, and record this look at it.

    ``experiment`` is an MLflow experiment, by default that of ``bench run``. ``grid`` is a grid file: only its trials
    are compared, as its ``[compare]`` says. ``options`` override that: ``by`` (one or several keys that make a row,
    such as ``optimizer.lr``), ``metrics`` (one or several), ``baseline`` (values by key), ``targets`` (values to reach,
    by metric), ``confidence`` and ``margin`` (points of accuracy within which two configurations are the same).
    ``watcher`` is told what is left out. All trials are in one comparison; :func:`compare_groups` first splits those
    that mix datasets.

    Raises :class:`~benchbench.errors.BenchError` if there is nothing to compare or the question fits no trial.
    """
    note = (watcher or Watcher()).note
    asked = StudyRecords.of(Study.of_experiment(experiment, grid), options, note)
    study = asked.study
    with open_look_history(study.experiment) as history:
        recorder = LookRecorder(history, note, study.design, study.earlier)
        comparison = compare_and_record_look(asked.records, asked.question, recorder)
    return _with_warnings_of_study(comparison, asked)


def compare_groups(
    experiment: str | None = None,
    *,
    grid: str | Path | None = None,
    population: bool = False,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> tuple[ComparedGroup, ...]:
    """Return the comparison of each group of trials that can be compared, and record a look at each.

    The arguments are those of :func:`compare`. With ``population``, each group is also compared on images like its test
    images; a warning says why if one of several cannot, for example because a trial keeps no predictions.

    Raises :class:`~benchbench.errors.BenchError` if no group can be compared, or none on images like its test images.
    """
    note = (watcher or Watcher()).note
    asked = StudyRecords.of(Study.of_experiment(experiment, grid), options, note)
    if population:
        _note_design(asked.study, "on images like these", note)
    return compare_study_groups(asked, note, population=population)


def compare_study_groups(
    asked: StudyRecords, note: Callable[[str], None], *, population: bool = False
) -> tuple[ComparedGroup, ...]:
    """Record a look at each group of the records, and return their comparisons with what the study warns of."""
    study, question = asked.study, asked.question
    # Before a look is recorded, since nobody sees a verdict if this fails.
    over_images = _compare_over_images(asked) if population else {}
    with open_look_history(study.experiment) as history:
        recorder = LookRecorder(history, note, study.design, study.earlier)
        groups = compare_groups_and_record_looks(asked.records, question, recorder)
    groups = tuple(_with_images(group, over_images.get(group.heading)) for group in groups)
    return with_comparisons(groups, lambda each: _with_warnings_of_study(each, asked))


def _compare_over_images(asked: StudyRecords) -> dict[str, PopulationComparison | BenchError]:
    """Return the comparison of each group on images like its test images, or why there is none, by its heading.

    Groups of a single configuration have none. Raises the first error if no other group has one.
    """
    find_metrics(asked.question.metrics, [values_of(record) for record in asked.records])
    groups = groups_of(asked.records, asked.question, asked.study.design)
    compared = {
        group.heading: _over_images(group.records, asked.question)
        for group in groups
        if num_configurations(group.records) > 1
    }
    errors = [each for each in compared.values() if isinstance(each, BenchError)]
    if errors and len(errors) == len(compared):
        raise errors[0]
    return compared


def _with_images(group: ComparedGroup, over_images: PopulationComparison | BenchError | None) -> ComparedGroup:
    """Return a group with its comparison on images like its test images, or with a warning why there is none."""
    if group.comparison is None or over_images is None:
        return group
    if isinstance(over_images, BenchError):
        warning = f"not compared on images like the test images: {over_images.message}"
        comparison = replace(group.comparison, warnings=(*group.comparison.warnings, warning))
        return replace(group, comparison=comparison)
    return replace(group, over_images=over_images)


def _with_warnings_of_study(comparison: Comparison, asked: StudyRecords) -> Comparison:
    """Return a comparison with what its study warns of, and if its baseline was named when the results were known."""
    study = asked.study
    late = late_baseline_warnings(comparison) if asked.question.baseline != study.question.baseline else ()
    few = () if study.trials or study.design else few_seeds_of_baseline(comparison)
    return replace(comparison, warnings=(*few, *comparison.warnings, *study.warnings, *late))


def compare_over_datasets(
    experiment: str | None = None,
    *,
    grid: str | Path | None = None,
    watcher: Watcher | None = None,
    **options: Unpack[QuestionOptions],
) -> DatasetComparison:
    """Return how an experiment's configurations compare on each of several datasets and over all of them.

    The arguments are those of :func:`compare`. Raises :class:`~benchbench.errors.BenchError` for fewer than two
    datasets.
    """
    note = (watcher or Watcher()).note
    study = Study.of_experiment(experiment, grid)
    _note_design(study, "on each of several datasets", note)
    return compare_datasets(find_records(study, note), study.asked(options))


def compare_with_published(
    experiment: str | None = None,
    *,
    grid: str | Path | None = None,
    confidence: float | None = None,
    watcher: Watcher | None = None,
) -> Published:
    """Return an experiment's results beside the published ones in the ``[[expected]]`` rows of a file."""
    study = Study.of_experiment(experiment, grid)
    if not study.expected:
        raise SpecError("no published results to compare with", hint="--grid FILE names a file with [[expected]] rows")
    study.check_expected()
    asked = StudyRecords.of(study, {"confidence": confidence}, (watcher or Watcher()).note)
    question = asked.question
    rows = against_published(asked.records, study.expected, confidence=question.confidence, targets=question.targets)
    return Published(rows, question.confidence)


def compare_models(
    first: str,
    second: str,
    *,
    experiment: str | None = None,
    grid: str | Path | None = None,
    confidence: float | None = None,
    watcher: Watcher | None = None,
) -> ModelComparison:
    """Return how two trained models differ on the same test images, by their stored predictions.

    The models are named by the beginning of their MLflow run ids, here or where they were imported from, or by the
    names of their runs.
    """
    from benchbench.tracking.stored_records import load_predictions

    study = Study.of_experiment(experiment, grid)
    asked = StudyRecords.of(study, {"confidence": confidence}, (watcher or Watcher()).note)
    oldest_first = sorted(asked.records, key=lambda record: record.started_ms)
    records = {record.mlflow: record for record in oldest_first if record.mlflow}
    runs = [only_match(word, list(records), experiment=study.experiment) for word in (first, second)]
    one, other = (records[run] for run in runs)
    if one.data.splits["test"] != other.data.splits["test"]:
        raise SpecError("the two models were not tested on the same images", hint="choose two runs of the same dataset")
    predictions = [load_predictions(run.run_id) for run in runs]
    return compare_predictions(*predictions, confidence=asked.question.confidence)


def _over_images(records: Sequence[Record], question: Question) -> PopulationComparison | BenchError:
    from benchbench.tracking.stored_records import load_predictions

    finished = [record for record in one_per_trial(records) if record.status == "finished"]
    try:
        predictions = {record.attempt: load_predictions(_run_id(record)) for record in finished}
        return compare_populations(records, predictions, question)
    except BenchError as error:
        return error


def _note_design(study: Study, where: str, note: Callable[[str], None]) -> None:
    """Tell that verdicts are not those of the design, which is about one comparison over seeds."""
    key = "decide" if study.design else "seeds" if study.question.seeds else ""
    if key:
        note(f"verdicts {where} ignore `{key}` in [compare]: all trials count")


def _run_id(record: Record) -> str:
    return record.mlflow.run_id if record.mlflow else ""
