"""A grid from the command line: plan, run, and what came of it."""

from __future__ import annotations

import importlib
import json
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from benchbench.cli import options as shared
from benchbench.cli.downloads import download_bar
from benchbench.cli.grid_display import GridDisplay, duration
from benchbench.cli.tables import print_table
from benchbench.config.differences import describe_spec, value_text, varying
from benchbench.driver.event_loop import Ending
from benchbench.driver.grid_state import GridState
from benchbench.driver.session import Options, Session
from benchbench.errors import one_line
from benchbench.plugin.discovery import loose_files
from benchbench.records import files
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchbench.config.grid_file import GridFile
    from benchbench.driver.event_loop import Outcome
    from benchbench.driver.plan import Planned
    from benchbench.protocol.jobs import TrialJob
    from benchbench.report.grid_page import GridPage

REPORTING = "benchbench.cli.reporting"
MAX_REPORTED = 200
"""Of more trials a report is made when it is asked for: the files of each take 0.1 s to fetch."""

RETRIES = 1
"""How often a trial whose worker was killed by the system is resumed."""


@dataclass(frozen=True)
class GridOptions:
    """What ``bench grid`` is told besides what it has in common with ``bench run``."""

    dry_run: bool
    verbose: bool
    max_failures: int | None
    yes: bool
    as_json: bool


def run_grid(grid: GridFile, options: Options, grid_options: GridOptions) -> None:
    """Run what is left of a grid and show what came of it.

    Exits with 1 where a trial failed and with 130 where the grid was interrupted.
    """
    drafts = grid.expand(allow_many=grid_options.yes)
    text = grid.path.read_text(encoding="utf-8")
    files = loose_files((*grid.plugins, *options.plugin_files))
    console = Console(stderr=grid_options.as_json, highlight=False)
    display = GridDisplay(console)
    state = GridState(grid.path)
    with (
        state.locked(),
        Session(options, files, download_bar=partial(download_bar, console), note=display.note) as session,
    ):
        resolved = session.resolve(drafts)
        specs = [item.spec for item in resolved]
        grid.check(specs)
        if not grid_options.yes:
            state.check_unchanged(specs)
        plan = session.plan(resolved)
        _show_plan(plan, console, num_jobs=session.executor.num_jobs)
        if grid_options.dry_run or grid_options.verbose:
            _list_plan(plan, console, with_reasons=grid_options.verbose)
        ending = Ending([], is_interrupted=False)
        has_report = options.artifacts != "none" and len(plan) <= MAX_REPORTED
        if not grid_options.dry_run:
            state.begin(specs)
            session.settle(plan)
            page = partial(_page, session, grid, text, plan)
            ending = _run(
                session,
                grid,
                plan,
                page,
                display=display,
                max_failures=grid_options.max_failures,
                has_report=has_report,
            )
        is_delivered = session.close_tracker()
    outcomes = ending.outcomes
    if grid_options.as_json:
        trials = [_planned_json(item) for item in plan] if grid_options.dry_run else map(_outcome_json, outcomes)
        typer.echo(json.dumps({"grid": grid.name, "trials": list(trials)}, indent=2))
    elif outcomes:
        _show_outcomes(outcomes, _names(plan))
    if outcomes and is_delivered and options.artifacts != "none" and _status(ending, plan) != "killed":
        if has_report:
            _report(grid, plan, options.experiment)
        else:
            typer.echo(f"for a report: bench report {options.experiment} --grid {grid.path}", err=True)
    if not grid_options.dry_run:
        raise typer.Exit(shared.EXIT_CODES[_status(ending, plan)])


def _run(
    session: Session,
    grid: GridFile,
    plan: Sequence[Planned],
    page: Callable[[Sequence[TrialJob]], GridPage],
    *,
    display: GridDisplay,
    max_failures: int | None,
    has_report: bool,
) -> Ending:
    todo = [item for item in plan if item.action != "skip"]
    best = _Best(session, [item for item in plan if item.action == "skip"])
    if not todo and not best.is_waiting and not any(item.journal and item.journal.is_cut_off() for item in plan):
        return Ending([], is_interrupted=False)
    names = _names(plan)
    parent = session.open_parent(grid.name, grid.question)
    jobs = [session.job(item) for item in todo]
    drive = session.drive(
        display, complete=best.complete, parent_run_id=parent, retries=RETRIES, max_failures=max_failures
    )
    labels = {job.folder: describe_spec(job.spec, names) for job in jobs}
    with display.shown(labels, session.executor.progress):
        ending = drive.run(jobs, session.executor)
    if has_report:
        _import_report()
    best.keep_all(jobs)
    session.close_parent(parent, _status(ending, plan), partial(page, jobs))
    return ending


def _page(session: Session, grid: GridFile, text: str, plan: Sequence[Planned], jobs: Sequence[TrialJob]) -> GridPage:
    from benchbench.report.grid_page import grid_page

    journals = {job.spec.id: Journal(Path(job.folder)) for job in jobs}
    records = [session.record_of(item, journals.get(item.resolved.spec.id)) for item in plan]
    return grid_page(grid, text, list(filter(None, records)), num_trials=len(plan))


def _import_report() -> None:
    """Import what a report takes, two seconds, beside the export of the best model: nothing is timed any more."""
    threading.Thread(target=importlib.import_module, args=(REPORTING,), name="bench-report", daemon=True).start()


def _report(grid: GridFile, plan: Sequence[Planned], experiment: str) -> None:
    """Put a report among the files of the grid's own run; where that cannot be done, say why."""
    from benchbench.cli import reporting
    from benchbench.tracking.records import read_experiment

    request = reporting.Request(experiment, grid.question, grid.compare, grid.expected, str(grid.path), grid.name)
    try:
        records = read_experiment(experiment, spec_ids={item.resolved.spec.id for item in plan}).records
        with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
            reporting.make(request, records, Path(folder) / files.REPORT)
    except Exception as error:  # noqa: BLE001 - the trials are done, whatever it is
        typer.echo(f"no report: {one_line(error)}", err=True)


class _Best:
    """The best trial by validation so far, the only one whose checkpoint is worth its space."""

    def __init__(self, session: Session, done: Sequence[Planned]) -> None:
        self._session = session
        self._done = max(done, key=lambda item: item.val_accuracy or 0.0, default=None)
        self._val_accuracy = (self._done.val_accuracy or 0.0) if self._done else -1.0
        self._journal = self._done.journal if self._done else None

    def complete(self, journal: Journal) -> None:
        """Complete a trial that has ended, and let go of the checkpoint that is not needed any more."""
        self._session.complete(journal)
        final = journal.record().final
        if final is None:
            return
        beaten: Journal | None = journal
        if final.val_accuracy > self._val_accuracy:
            beaten, self._journal, self._val_accuracy = self._journal, journal, final.val_accuracy
        if beaten is not None:
            self._session.drop_checkpoint(beaten)

    @property
    def is_waiting(self) -> bool:
        """Whether the best trial has yet to get its figures and model, and still can."""
        journal = self._journal
        return journal is not None and journal.has_checkpoint() and (journal.is_cut_off() or not journal.has_samples())

    def keep_all(self, jobs: Sequence[TrialJob]) -> None:
        """Add figures and model to what the best trial keeps, where an earlier call has not done it."""
        if self._journal is None or not self.is_waiting:
            return
        if self._done is not None and self._journal is self._done.journal:
            jobs = [self._session.job(self._done)]
        for job in jobs:
            if job.attempt == self._journal.attempt:
                self._session.keep_all(job)


def _status(ending: Ending, plan: Sequence[Planned]) -> Literal["finished", "failed", "killed"]:
    statuses = {outcome.status for outcome in ending.outcomes}
    is_cut_short = len(ending.outcomes) < sum(item.action != "skip" for item in plan)
    if "killed" in statuses or (is_cut_short and ending.is_interrupted):
        return "killed"
    return "failed" if is_cut_short or statuses & {"failed", "refused"} else "finished"


def _show_plan(plan: Sequence[Planned], console: Console, *, num_jobs: int) -> None:
    counts = Counter(item.action for item in plan)
    stale = sum(bool(item.stale) and item.action == "skip" for item in plan)
    parts = [
        f"{len(plan)} trials: {counts['skip']} done",
        *([f"{stale} of them stale (--rerun-stale)"] if stale else []),
        f"{counts['resume']} to resume",
        f"{counts['run']} to run",
    ]
    known = [item.wall_seconds for item in plan if item.wall_seconds]
    left = counts["resume"] + counts["run"]
    if known and left:
        parts.append(f"about {duration(left * sum(known) / len(known) / num_jobs)} by earlier trials")
    console.print(", ".join(parts), soft_wrap=True)


def _list_plan(plan: Sequence[Planned], console: Console, *, with_reasons: bool) -> None:
    """Print a line for each trial: done, stale, resume or run, its values and, where asked for, why."""
    names = _names(plan)
    for item in plan:
        action = ("stale" if item.stale else "done") if item.action == "skip" else item.action
        reason = f"  ({item.why})" if with_reasons else ""
        console.print(Text(f"  {action:6}  {describe_spec(item.resolved.spec, names)}{reason}"), soft_wrap=True)


def _names(plan: Sequence[Planned]) -> tuple[str, ...]:
    """Return the parameters that tell the trials of a grid apart."""
    return tuple(varying([item.resolved.spec for item in plan])) or ("seed",)


def _show_outcomes(outcomes: Sequence[Outcome], names: tuple[str, ...]) -> None:
    """Print a row for each trial of this call; the best by validation is marked ``*``."""
    finals = [outcome.record.final for outcome in outcomes if outcome.record and outcome.record.final]
    best = max((final.val_accuracy for final in finals), default=None)
    rows = []
    for outcome in outcomes:
        record, flat = outcome.record, outcome.job.spec.flat()
        final = record.final if record else None
        rows.append(
            (
                *(value_text(flat[name]) if name in flat else "" for name in names),
                outcome.status,
                f"{final.val_accuracy:.1%}{'*' if final.val_accuracy == best else ' '}" if final else "",
                f"{final.test_accuracy:.1%}" if final else "",
                duration(record.times.wall) if record and record.times else "",
            )
        )
    numbers = ("val accuracy", "test accuracy", "time")
    print_table((*names, "status", *numbers), rows, numbers=numbers)
    for outcome in outcomes:
        error = outcome.error or (outcome.record and outcome.record.error)
        if error:
            typer.echo(f"{outcome.status}: {describe_spec(outcome.job.spec, names)}: {error.message}", err=True)


def _planned_json(item: Planned) -> dict[str, Any]:
    spec = item.resolved.spec
    return {
        "spec_id": spec.id,
        "spec": spec.flat(),
        "data_digest": item.resolved.data_digest,
        "action": item.action,
        "why": item.why,
        "stale": item.stale,
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    if outcome.record is None:
        error = outcome.error.to_json() if outcome.error else None
        return {"spec_id": outcome.job.spec.id, "status": outcome.status, "error": error}
    record: dict[str, Any] = json.loads(Journal(Path(outcome.job.folder)).record().to_json())
    return record
