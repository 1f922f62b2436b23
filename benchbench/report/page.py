"""One HTML file that says what was asked, what came out, and how: it opens without a network."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchbench.compare.across_datasets_tables import overall_tables
from benchbench.compare.answer import answer
from benchbench.compare.comparison_tables import group_tables, published_table
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.paths import write_atomically
from benchbench.records import file_names
from benchbench.report import class_charts, curves, embedded_images, facts, report_tables
from benchbench.report.class_accuracy import class_table
from benchbench.report.interval_chart import interval_chart
from benchbench.report.phase_chart import phase_chart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchbench.compare.groups import ComparedGroup
    from benchbench.compare.text_tables import TextTable
    from benchbench.report.chart_style import Chart
    from benchbench.report.class_accuracy import ClassTable
    from benchbench.report.embedded_images import ClassImages, SeenImages
    from benchbench.report.kept_files import PredictedImage
    from benchbench.report.report_tables import SortableTable
    from benchbench.report.subject import Subject

_FOLDER = resources.files("benchbench.report") / "template"


def write_report(subject: Subject, path: Path) -> None:
    """Write the report, whole or not at all; a file that is there is replaced."""
    write_atomically(path, render(subject))


def render(subject: Subject) -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=PackageLoader("benchbench.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # NaN is not valid JSON: raise an error here instead of leaving one to the reader's browser.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        vars(_content(subject)),
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_digest=_digest(script),
    )


def _digest(script: str) -> str:
    """Return the digest by which the page allows its own script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What the page says of a group of trials that can be compared; ``chart`` names its interval plot."""

    heading: str
    sentences: tuple[str, ...]
    chart: str = ""
    tables: tuple[TextTable, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _BestTrial:
    """The best trial by validation: its name, its position among all trials, and the images that it keeps."""

    name: str
    position: int
    num_classes: int
    class_images: list[ClassImages]
    predicted_images: list[tuple[str, PredictedImage]]
    seen: SeenImages | None


@dataclass(frozen=True)
class _EachTrial:
    """What is known of each trial, in their order: names, commands, and the values of the facts that differ."""

    names: list[str]
    commands: list[str]
    differing: tuple[str, ...]
    values: list[list[str | None]]
    common: dict[str, str]


@dataclass(frozen=True)
class _Content:
    """The variables of the template."""

    subject: Subject
    date: str
    answers: list[_Answer]
    over_datasets: list[TextTable]
    published: TextTable | None
    trials: SortableTable
    classes: SortableTable
    times: SortableTable
    charts: dict[str, Chart]
    grid_command: str
    with_several_folders: list[str]
    is_imported: bool
    best: _BestTrial | None
    each_trial: _EachTrial


def _content(subject: Subject) -> _Content:
    folders = _image_folders(subject)
    published, confidence = subject.published, subject.published_confidence
    table = class_table(subject)
    intervals = {
        f"intervals-{number}": chart
        for number, group in enumerate(subject.groups)
        if group.comparison and (chart := interval_chart(group.comparison, f"intervals-{number}"))
    }
    return _Content(
        subject=subject,
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        answers=[_answer(group, number, intervals) for number, group in enumerate(subject.groups)],
        over_datasets=overall_tables(subject.over_datasets) if subject.over_datasets else [],
        published=published_table(published, confidence) if published else None,
        trials=report_tables.trial_table(subject),
        classes=report_tables.class_cells(table, subject),
        times=report_tables.time_table(subject),
        charts=_charts(subject, table) | intervals,
        grid_command=_grid_command(subject, folders),
        with_several_folders=[name for name, paths in folders.items() if len(paths) > 1],
        is_imported=any(record.mlflow and record.mlflow.origin_id for record in subject.records),
        best=_best_trial(subject),
        each_trial=_each_trial(subject),
    )


def _answer(group: ComparedGroup, number: int, intervals: dict[str, Chart]) -> _Answer:
    comparison = group.comparison
    if comparison is None:
        return _Answer(heading=group.heading, sentences=(f"Nothing is compared: {group.obstacle}.",))
    name = f"intervals-{number}"
    return _Answer(
        heading=group.heading,
        sentences=answer(comparison),
        chart=name if name in intervals else "",
        tables=tuple(group_tables(group)),
        warnings=comparison.warnings,
        facts=comparison.facts,
    )


def _charts(subject: Subject, table: ClassTable) -> dict[str, Chart]:
    charts = {
        "curves": curves.learning_curves(subject),
        "classes": class_charts.accuracy_per_class(table, subject),
        "phases": phase_chart(subject),
        "epochs": curves.epoch_seconds(subject),
    }
    best = subject.best
    if best is not None and (path := subject.artifacts(best) / file_names.CONFUSION_MATRIX).exists():
        charts["confusion"] = class_charts.confusion(path)
    return charts


def _best_trial(subject: Subject) -> _BestTrial | None:
    best = subject.best
    if best is None:
        return None
    path, seen = (subject.artifacts(best) / name for name in (file_names.SAMPLES, file_names.SEEN))
    return _BestTrial(
        name=subject.trial_name(best),
        position=subject.records.index(best),
        num_classes=len(best.data.class_names),
        class_images=embedded_images.class_images(path) if path.exists() else [],
        predicted_images=embedded_images.predicted_images(path) if path.exists() else [],
        seen=embedded_images.seen_images(seen, augmentation=best.spec.augmentation.name) if seen.exists() else None,
    )


def _image_folders(subject: Subject) -> dict[str, set[str]]:
    """Return the files and folders of images that trials were given, by dataset."""
    folders: dict[str, set[str]] = defaultdict(set)
    for record in subject.records:
        if folder := facts.images_folder(record):
            folders[record.spec.dataset.name].add(folder)
    return folders


def _grid_command(subject: Subject, folders: Mapping[str, set[str]]) -> str:
    only = {name: next(iter(paths)) for name, paths in folders.items() if len(paths) == 1}
    options = [word for name, folder in only.items() for word in ("--data", f"{name}={folder}")]
    paths = [path for trial in subject.trials for path in facts.plugin_files(trial.artifacts)]
    options += [word for path in dict.fromkeys(paths) for word in ("--plugins", path)]
    is_default = subject.experiment == DEFAULT_EXPERIMENT
    experiment = [] if is_default else ["--experiment", subject.experiment]
    return shlex.join(["bench", "grid", subject.grid_file, *experiment, *options])


def _each_trial(subject: Subject) -> _EachTrial:
    known = [facts.trial_facts_of(record, subject.artifacts(record)) for record in subject.records]
    differing = facts.differing(known)
    return _EachTrial(
        names=[
            subject.trial_name(record) + ("" if record.status == "finished" else f" ({record.status})")
            for record in subject.records
        ],
        commands=[facts.run_command(record, subject.artifacts(record)) for record in subject.records],
        differing=differing,
        values=[[trial_facts.get(name) for name in differing] for trial_facts in known],
        common=facts.common(known),
    )
