"""A report from records to a file, for ``bench report`` and for the end of ``bench grid``."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.compare import against_published, compare_records
from benchbench.compare.configurations import one_per_trial
from benchbench.report.gather import gather
from benchbench.report.page import write_report
from benchbench.report.subject import Subject
from benchbench.tracking.reports import find_parent, log_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.config.comparison import Compare, Expected
    from benchbench.records.record import Record
    from benchbench.report.material import Trial


@dataclass(frozen=True)
class Request:
    """What a report is to answer, and of which experiment and grid; the last two are empty without a file."""

    experiment: str
    text: str
    question: Compare
    expected: tuple[Expected, ...]
    grid_file: str = ""
    grid_name: str = ""


@dataclass(frozen=True)
class Made:
    """What came of it: files, how the trials ended, and the run that keeps the report, where there is one.

    ``left_out`` says of figures by their names why they could not be drawn.
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


def make(
    request: Request, records: Sequence[Record], path: Path, *, figures: Path | None = None, log: bool = True
) -> Made:
    """Write the report, and figures where a folder for them is given; keep both with the grid's own run.

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
    run_id = _parent(request, records) if log else None
    if run_id:
        log_report(run_id, path, figures)
    return Made(path, subject.counts, drawn, left_out, run_id)


def _draw(trials: Sequence[Trial], folder: Path) -> tuple[tuple[Path, ...], Mapping[str, str]]:
    from benchbench.report.paper import write_figures

    written = write_figures(trials, folder)
    return written.paths, written.left_out


def _parent(request: Request, records: Sequence[Record]) -> str | None:
    places = [record.mlflow for record in records if record.mlflow]
    if not places:
        return None
    run_ids = [place.run_id for place in places]
    return find_parent(run_ids, places[0].experiment_id, name=request.grid_name)
