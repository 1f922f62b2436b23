"""What ``bench compare`` and ``bench report`` are asked, by its options and a file, and the trials that are meant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchbench.config import grid_file
from benchbench.config.comparison import SCALARS, read_study, refuse_unknown
from benchbench.config.differences import is_match
from benchbench.config.kinds import KINDS
from benchbench.config.spec import read_toml
from benchbench.errors import SpecError, closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue

    from benchbench.compare import ModelComparison
    from benchbench.config.comparison import Compare, Expected
    from benchbench.records.record import Record

_EXAMPLES = {"--baseline": "optimizer.lr=0.001", "--target": "val_accuracy=0.5"}


@dataclass(frozen=True)
class Words:
    """The question as the command line has it; what is empty is not asked."""

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    baseline: tuple[str, ...]
    targets: tuple[str, ...]
    confidence: float | None

    @staticmethod
    def of(
        by: Sequence[str] | None,
        metrics: Sequence[str] | None,
        baseline: Sequence[str] | None,
        targets: Sequence[str] | None,
        confidence: float | None,
    ) -> Words:
        """Return the question of options that may not be given."""
        return Words(tuple(by or ()), tuple(metrics or ()), tuple(baseline or ()), tuple(targets or ()), confidence)


@dataclass(frozen=True)
class Study:
    """What a file asks: its question and published results, and its name, words and trials where it is a grid."""

    compare: Compare
    expected: tuple[Expected, ...]
    wheres: tuple[dict[str, JsonValue], ...] = ()
    name: str = ""
    text: str = ""

    @staticmethod
    def read(path: Path | None) -> Study:
        """Return what the file asks; without one, the questions that need none."""
        if path is None:
            return Study(*read_study({}))
        table = read_toml(path)
        if not table.keys() & {"model", "dataset", "include"}:
            refuse_unknown(table, ("compare", "expected"), prefix=f"{path}: ")
            return Study(*read_study(table))
        grid = grid_file.load(path)
        return Study(grid.compare, grid.expected, _wheres(grid), grid.name, grid.question)

    def question(self, words: Words) -> Compare:
        """Return the file's question with what the command line says instead."""
        given: dict[str, object] = {
            "by": words.by,
            "metrics": words.metrics,
            "baseline": {key: _json(value) for key, value in (_pair(text, "--baseline") for text in words.baseline)},
            "targets": {key: _number(value, key) for key, value in (_pair(text, "--target") for text in words.targets)},
        }
        confidence = words.confidence
        if confidence is not None:
            if not 0 < confidence < 1:
                raise SpecError(f"--confidence {confidence:g} is not between 0 and 1", hint="such as 0.95")
            given["confidence"] = confidence
        return self.compare.model_copy(update={key: value for key, value in given.items() if value})


def _wheres(grid: grid_file.GridFile) -> tuple[dict[str, JsonValue], ...]:
    """Return, for each trial of a grid, the values that its file gives it."""
    wheres = []
    for draft in grid.expand(allow_many=True):
        where: dict[str, JsonValue] = {name: getattr(draft, name) for name in SCALARS}
        for kind in KINDS:
            plugin = draft.plugin(kind)
            where |= {kind: plugin.name} | {f"{kind}.{param}": value for param, value in plugin.params.items()}
        wheres.append(where)
    return tuple(wheres)


def find_records(experiment: str, study: Study) -> list[Record]:
    """Return the records that are meant; tells on standard error what is left out."""
    from benchbench.compare.comparison import check_finished
    from benchbench.tracking.records import read_experiment

    loaded = read_experiment(experiment)
    if loaded.without_record:
        typer.echo(f"left out, without a record: {', '.join(loaded.without_record)}", err=True)
    if loaded.num_waiting:
        typer.echo(f"{loaded.num_waiting} trial(s) not delivered to MLflow yet: bench runs list sends them", err=True)
    if not loaded.records:
        raise SpecError(
            f"the experiment {experiment!r} has no trials", hint="bench grid FILE --experiment NAME runs some"
        )
    records = list(loaded.records)
    if study.wheres:
        records = [record for record in records if any(is_match(record.spec, where) for where in study.wheres)]
        num_here = sum(any(is_match(record.spec, where) for record in records) for where in study.wheres)
        if num_here < len(study.wheres):
            typer.echo(
                f"{len(study.wheres) - num_here} of {len(study.wheres)} trials of the grid are not here", err=True
            )
    check_finished(records)
    return records


def find_models(records: Sequence[Record], run_ids: Iterable[str], *, confidence: float) -> ModelComparison:
    """Return the comparison of two runs by their stored predictions; a run is named by the beginning of its id."""
    from benchbench.compare import compare_models
    from benchbench.tracking.records import load_predictions

    first, second = (_find_run(records, run_id) for run_id in run_ids)
    if first.data.splits["test"] != second.data.splits["test"]:
        raise SpecError("the two models were not tested on the same images", hint="take two runs of one dataset")
    predictions = [load_predictions(run_id_of(record)) for record in (first, second)]
    return compare_models(*predictions, confidence=confidence)


def run_id_of(record: Record) -> str:
    """Return the id of the MLflow run that a record was read from."""
    return record.mlflow.run_id if record.mlflow else ""


def _find_run(records: Sequence[Record], run_id: str) -> Record:
    found = [record for record in records if run_id and run_id_of(record).startswith(run_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"{run_id!r} is the beginning of {len(found)} runs", hint="give more of it")
    near = closest(run_id, map(run_id_of, records))
    raise SpecError(
        f"no run of this experiment is {run_id!r}", hint=near or "bench runs list --json shows their run_id"
    )


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (equals and key.strip() and value.strip()):
        raise SpecError(f"{option} {text!r} is not KEY=VALUE", hint=f"such as {option} {_EXAMPLES[option]}")
    return key.strip(), value.strip()


def _json(text: str) -> JsonValue:
    """Return the value that is typed so: a number, true, a list, or else the text itself."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _number(text: str, metric: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"--target {metric}={text}: {text!r} is no number", hint="such as val_accuracy=0.5") from None
