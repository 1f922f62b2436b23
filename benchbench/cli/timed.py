"""A timing from the command line: variants named and timed, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from benchbench.cli import options as shared
from benchbench.cli.downloads import download_bar
from benchbench.cli.timed_display import TimedDisplay
from benchbench.cli.timed_tables import print_timings, warnings
from benchbench.cli.variants import name_variants
from benchbench.compare.timings import MIN_ROUNDS, compare_timings
from benchbench.driver.event_loop import Interrupts
from benchbench.driver.session import Options, Session
from benchbench.errors import SpecError, TrackingError, TrialError
from benchbench.executors.local import LocalExecutor
from benchbench.plugin.discovery import loose_files
from benchbench.protocol.messages import Output, Status
from benchbench.protocol.timing import Round, Timing, TimingJob, Warmed
from benchbench.records import files
from benchbench.report.timings import images_per_second, to_benchmark_json, to_json, to_text
from benchbench.tracking import how_to_open
from benchbench.tracking.timings import TimedCall, log_timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.compare.timings import TimedTable
    from benchbench.config.grid_file import GridFile
    from benchbench.records.record import MlflowRun


@dataclass(frozen=True)
class Plan:
    """What ``bench time`` is told besides the variants themselves and what it has in common with ``bench run``."""

    by: tuple[str, ...]
    baseline: str | None
    rounds: int
    steps: int | None
    save: Path | None
    as_json: bool


def run_timing(grid: GridFile, options: Options, plan: Plan) -> None:
    """Time the variants, show and keep what came of it.

    Exits with 130 where it was interrupted, and shows what there is where that are enough rounds.
    """
    files = loose_files((*grid.plugins, *options.plugin_files))
    console = Console(stderr=plan.as_json, highlight=False)
    display = TimedDisplay(console)
    executor = LocalExecutor(plugin_files=files)
    with Session(
        options, files, download_bar=partial(download_bar, console), note=display.note, executor=executor
    ) as session:
        specs = [resolved.spec for resolved in session.resolve(grid.expand())]
        named = name_variants(specs, grid, by=plan.by, baseline=plan.baseline)
        # Opened before the first round, so that nothing of ours disturbs it.
        session.tracker.wait_open()
        job = TimingJob(
            specs=named.specs,
            names=named.names,
            rounds=plan.rounds,
            steps=plan.steps,
            device=options.device,
            data_roots=session.data_roots,
            plugin_files=tuple(str(Path(file).absolute()) for file in files),
        )
        timing = _time(job, executor, display)
        if len(timing.rounds) < MIN_ROUNDS:
            display.note(
                f"stopped after {len(timing.rounds)} round(s): an interval takes {MIN_ROUNDS}, so nothing is kept"
            )
            raise KeyboardInterrupt
        table = compare_timings(timing.epoch_seconds, named.baseline, confidence=grid.compare.confidence)
        run = None
        try:
            run = _log(session, timing, table, grid, display.note)
            session.close_tracker()
            if plan.save is not None:
                _save(plan.save, to_text(to_benchmark_json(timing, table, name=grid.name)))
        finally:
            _show(timing, table, grid, run, as_json=plan.as_json)
    raise typer.Exit(shared.EXIT_CODES["killed" if timing.is_stopped else "finished"])


def _time(job: TimingJob, executor: LocalExecutor, display: TimedDisplay) -> Timing:
    """Return what was timed, whole rounds only."""
    warmed: list[Warmed] = []
    rounds: list[Round] = []
    interrupts = Interrupts(executor, display.note)
    try:
        with interrupts.caught(), display.shown(job):
            for message in executor.time(job):
                match message:
                    case Status():
                        display.status(message.text)
                    case Output():
                        display.note(message.text)
                    case Warmed():
                        warmed.append(message)
                        display.warmed()
                    case Round():
                        rounds.append(message)
                        display.round(message)
    except TrialError:
        if not interrupts.count:
            raise
    return Timing(job, tuple(warmed), tuple(rounds), is_stopped=len(rounds) < job.rounds)


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--save {path}: {error.strerror}", hint="the results are above") from None


def _log(
    session: Session, timing: Timing, table: TimedTable, grid: GridFile, note: Callable[[str], None]
) -> MlflowRun | None:
    """Write the timing to MLflow; where that fails it is shown all the same."""
    verdicts = [row.verdict for row in table.rows if row.ratio]
    call = TimedCall(
        timing=timing,
        name=grid.name,
        note="\n\n".join(filter(None, (grid.question, *verdicts, *warnings(timing)))),
        values={row.name: _values(timing, table, place) for place, row in enumerate(table.rows)},
        texts={
            files.TIMING: to_text(to_json(timing, table, name=grid.name, mlflow=None)),
            "benchmark.json": to_text(to_benchmark_json(timing, table, name=grid.name)),
        },
    )
    try:
        return log_timing(session.tracker.wait_open(), call)
    except TrackingError as error:
        note(f"not kept in MLflow: {error.message}")
        return None


def _values(timing: Timing, table: TimedTable, place: int) -> dict[str, float]:
    """Return the metrics of a variant over all rounds."""
    row = table.rows[place]
    values = {
        "median_epoch_seconds": row.median,
        "median_images_per_second": images_per_second(timing, place),
        "peak_memory_bytes": float(timing.warmed[place].peak_memory_bytes),
    }
    if row.ratio:
        values["ratio_to_baseline"] = row.ratio.estimate
    if row.ratio and row.ratio.interval:
        values |= {"ratio_low": row.ratio.interval.low, "ratio_high": row.ratio.interval.high}
    return values


def _show(timing: Timing, table: TimedTable, grid: GridFile, run: MlflowRun | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(to_json(timing, table, name=grid.name, mlflow=run), indent=2))
        return
    if grid.question:
        typer.echo(grid.question)
    print_timings(timing, table)
    if run:
        typer.echo(how_to_open(run))
