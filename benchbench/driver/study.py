"""The question of a comparison, from a file and from its caller, and the trials that it is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from benchbench.compare.verdicts import POINTS
from benchbench.config import grid_file
from benchbench.config.compare_section import read_comparison
from benchbench.config.defaults import default_experiment
from benchbench.config.text_files import read_toml
from benchbench.config.validation import refuse_unknown_keys
from benchbench.config.values import describe_values
from benchbench.driver.grid_records import GridRecords, GridTrial, grid_trials
from benchbench.driver.settings import refuse_unknown_options, texts_of
from benchbench.errors import SpecError, counted
from benchbench.tracking.grid_runs import find_designs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from benchbench.config.compare_section import Expected, Question
    from benchbench.config.design import Design
    from benchbench.records.record import Record


class QuestionOptions(TypedDict, total=False):
    """What to compare: it overrides the question of a file. What is empty or None is not asked."""

    by: str | Sequence[str] | None
    metrics: str | Sequence[str] | None
    baseline: Mapping[str, JsonValue] | None
    targets: Mapping[str, float] | None
    confidence: float | None
    margin: float | None


@dataclass(frozen=True)
class Study:
    """What a file asks: its question and published results and, if it is a grid, its name, headline, trials and design.

    ``earlier`` are the designs that the grid had before, and ``grids`` the names of several grids that added seeds.
    ``file`` is empty without one, and so is ``experiment`` if none was looked at.
    """

    question: Question
    expected: tuple[Expected, ...]
    trials: tuple[GridTrial, ...] = ()
    name: str = ""
    headline: str = ""
    design: Design | None = None
    earlier: tuple[Design, ...] = ()
    grids: tuple[str, ...] = ()
    file: str = ""
    experiment: str = ""

    @staticmethod
    def of_experiment(experiment: str | None, path: str | Path | None) -> Study:
        """Return what the file asks about an experiment, with the design by which its grid has added seeds."""
        experiment = experiment or default_experiment()
        study = Study.read(path)
        designs = find_designs(experiment, name=study.name, file=Path(path) if path and study.name else None)
        if designs.current is not None and study.design is None and study.question.seeds is None:
            study = Study.read(path, decide=True) if path and study.name else replace(study, design=designs.current)
        earlier = (*designs.earlier, *([designs.current] if designs.current else []))
        return replace(study, earlier=earlier, grids=designs.grids, experiment=experiment)

    @staticmethod
    def read(path: str | Path | None, *, decide: bool = False) -> Study:
        """Return what the file asks; without one, the questions that need none."""
        if path is None:
            return Study(*read_comparison({}))
        path = Path(path)
        table = read_toml(path)
        if not table.keys() & {"model", "dataset", "include"}:
            refuse_unknown_keys(table, ("compare", "expected"), prefix=f"{path}: ")
            return Study(*read_comparison(table), file=str(path))
        grid = grid_file.load(path, decide=decide)
        return replace(Study.of_grid(grid), trials=grid_trials(grid))

    @staticmethod
    def of_grid(grid: grid_file.GridFile) -> Study:
        """Return what a grid asks, without its trials."""
        return Study(
            grid.question,
            grid.expected,
            name=grid.name,
            headline=grid.headline,
            design=grid.design,
            file=str(grid.path),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a warning if verdicts about all trials of an experiment ignore that seeds were added until decided."""
        if not self.grids:
            return ()
        text = (
            f"seeds of {', '.join(self.grids)} were added depending on results, which these verdicts do not account"
            " for: --grid FILE judges a grid by its design"
        )
        return (text,)

    def check_expected(self) -> None:
        """Raise :class:`SpecError` for a published result of a trial that the grid does not have."""
        for number, row in enumerate(self.expected, start=1):
            if self.trials and not any(trial.may_have(row.where) for trial in self.trials):
                raise SpecError(f"[[expected]] {number} selects no trial: {describe_values(row.where, row.where)}")

    def asked(self, options: QuestionOptions) -> Question:
        """Return the file's question, overridden by the caller's options.

        Raises :class:`TypeError` for an unknown option, and :class:`SpecError` for a value out of range.
        """
        refuse_unknown_options(options, QuestionOptions.__annotations__)
        confidence = options.get("confidence")
        if confidence is not None and not 0 < confidence < 1:
            raise SpecError(f"--confidence {confidence:g} is not between 0 and 1", hint="such as 0.95")
        margin = options.get("margin")
        if margin is not None and not 0 < margin < POINTS:
            raise SpecError(f"--margin {margin:g} is not between 0 and {POINTS} points", hint="such as 0.5")
        asked: dict[str, object] = {
            "by": texts_of(options.get("by")),
            "metrics": texts_of(options.get("metrics")),
            "baseline": dict(options.get("baseline") or {}),
            "targets": dict(options.get("targets") or {}),
            "confidence": confidence,
            "margin": margin,
        }
        return self.question.model_copy(update={key: value for key, value in asked.items() if value})


@dataclass(frozen=True)
class StudyRecords:
    """The records that a study is about, and the question that is asked of them."""

    study: Study
    question: Question
    records: Sequence[Record]

    @staticmethod
    def of(study: Study, options: QuestionOptions, note: Callable[[str], None]) -> StudyRecords:
        """Check the question of a study with these options, then find its records; ``note`` hears what is left out."""
        question = study.asked(options)
        return StudyRecords(study, question, find_records(study, note))


def find_records(study: Study, note: Callable[[str], None]) -> list[Record]:
    """Return the records that the study is about, in the order of the grid's trials, or else oldest first.

    ``note`` is told what is left out.
    """
    from benchbench.compare.comparison import check_finished
    from benchbench.tracking.stored_records import read_experiment

    loaded = read_experiment(study.experiment)
    if loaded.without_record:
        note(f"left out, without a record: {', '.join(loaded.without_record)}")
    if loaded.num_waiting:
        note(f"{counted(loaded.num_waiting, 'trial')} not delivered to MLflow yet: bench runs list sends them")
    if not loaded.records:
        raise SpecError(
            f"the experiment {study.experiment!r} has no trials", hint="bench grid FILE --experiment NAME runs some"
        )
    records = _records_of_grid(study, loaded.records, note) if study.trials else list(loaded.records)
    check_finished(records)
    return records


def _records_of_grid(study: Study, records: Sequence[Record], note: Callable[[str], None]) -> list[Record]:
    here = GridRecords.of(study.trials, records)
    if here.num_missing == len(study.trials):
        raise SpecError(
            f"none of the {len(records)} trials of {study.experiment!r} is one of the grid's",
            hint=f"bench grid {study.file} runs them\n"
            "those that ran with --set or --precision differ from the file: compare them without --grid",
        )
    if not study.question.baseline and here.lacks_first_configuration:
        note("the first configuration of the grid has no trial here, so another one is the baseline")
    if here.num_missing and study.design is None:
        note(f"{here.num_missing} of {len(study.trials)} trials of the grid are not here")
    return here.in_order()
