"""``bench.time``: how long an epoch takes, and which of several variants is faster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.compare.timing_ratios import MIN_ROUNDS, check_rounds, compare_timings
from benchbench.config import defaults
from benchbench.driver.interrupts import Interrupted, Interrupts, interruptible
from benchbench.driver.resolving import resolve
from benchbench.driver.services import open_services
from benchbench.driver.settings import Settings, setting_texts, texts_of
from benchbench.driver.variants import VariantOptions, name_variants, read_accelerate, read_variants
from benchbench.driver.watcher import Watcher
from benchbench.errors import SpecError, TrackingError, TrialError, counted
from benchbench.executors.local import LocalExecutor
from benchbench.protocol.jobs import TimingJob
from benchbench.protocol.messages import Output, Status
from benchbench.protocol.timing_messages import Round, Timing, Warmed
from benchbench.records import metrics
from benchbench.records.file_names import TIMING
from benchbench.report.timing_data import images_per_second, timing_warnings, to_json, to_text
from benchbench.tracking.timing_runs import TimedCall, log_timing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchbench.compare.timing_ratios import TimedTable
    from benchbench.config.grid_file import GridFile
    from benchbench.records.record import MlflowRun
    from benchbench.tracking import Store


@dataclass(frozen=True)
class TimingResult:
    """What was measured, how the variants compare, and the run in MLflow that keeps it, if it could be kept."""

    name: str
    headline: str
    timing: Timing
    table: TimedTable
    run: MlflowRun | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return to_json(self.timing, self.table, name=self.name, mlflow=self.run)


def time(  # noqa: PLR0913 - one argument for each option of the command
    model: str | Path | Sequence[str],
    dataset: str | None = None,
    *,
    optimizer: str | Sequence[str] | None = None,
    scheduler: str | Sequence[str] | None = None,
    augmentation: str | Sequence[str] | None = None,
    loss: str | Sequence[str] | None = None,
    batch_size: int | str | Sequence[int] | None = None,
    precision: str | Sequence[str] | None = None,
    accelerate: str | Sequence[str] = defaults.ACCELERATE,
    set: Mapping[str, object] | None = None,  # noqa: A002 - the word of the command line
    baseline: str | None = None,
    by: str | Sequence[str] = (),
    rounds: int = 10,
    steps: int | None = None,
    device: str = defaults.DEVICE,
    data: str | Path | Mapping[str, str | Path] | None = None,
    experiment: str | None = None,
    plugins: str | Path | Sequence[str | Path] = (),
    watcher: Watcher | None = None,
) -> TimingResult:
    """Time an epoch of each variant, in interleaved rounds in one process, and return how they compare.

    The variants come from a grid file, given as the only positional argument, or from several values of one of the
    arguments: ``time("alexnet", "digits", optimizer=["sgd", "adam"])``; ``accelerate=["auto", "off"]`` compares our
    acceleration with plain torch. Augmentations that one variant applies one after the other are joined, as in
    ``crop_flip+mixup``. Each round measures every variant once: ``steps`` training steps, or an epoch with its
    validation. ``baseline`` is the name of the variant that the others are compared with, by default the first.
    ``by`` names the keys that the variants may differ in, if there are several. Nothing is printed; ``watcher``
    receives the progress.

    Raises :class:`~benchbench.errors.BenchError` for errors before the first round, and
    :class:`~benchbench.driver.interrupts.Interrupted` on Ctrl-C, with the result if there are enough rounds.
    """
    if steps is not None and steps < 1:
        raise SpecError(f"--steps {steps}: at least one step is timed", hint="without --steps it is a whole epoch")
    check_rounds(rounds)
    options = VariantOptions(
        target=str(model) if isinstance(model, Path) else model,
        dataset=dataset,
        optimizer=optimizer,
        scheduler=scheduler,
        augmentation=augmentation,
        loss=loss,
        batch_size=batch_size,
        precision=precision,
        accelerate=accelerate,
        settings=setting_texts(set),
    )
    grid = read_variants(options)
    settings = Settings.of(
        {"device": device, "data": data or {}, "experiment": experiment or "", "plugins": plugins},
        plugins=grid.plugins,
        jobs=1,
    )
    watcher = watcher or Watcher()
    result: TimingResult | None = None
    with interruptible(lambda: result), open_services(settings, watcher) as services:
        executor, tracker = services.executor, services.tracker
        assert isinstance(executor, LocalExecutor)  # noqa: S101 - the settings name no other
        resolution = resolve(grid.expand(), executor, settings, watcher)
        variants = name_variants(
            resolution.specs, grid, accelerate=read_accelerate(options), by=texts_of(by), baseline=baseline
        )
        # Opened before the first round, so that nothing of ours disturbs it.
        watcher.status("opening the tracking store")
        store = tracker.wait_open()
        job = TimingJob(
            specs=variants.specs,
            names=variants.names,
            rounds=rounds,
            steps=steps,
            device=settings.training.device,
            data_roots=resolution.data_roots,
            plugin_files=settings.plugin_paths,
            accelerate=variants.accelerate,
        )
        timing = _measure(job, executor, watcher)
        table = compare_timings(timing.epoch_seconds, variants.baseline, confidence=grid.question.confidence)
        result = TimingResult(grid.name, grid.headline, timing, table)
        result = replace(result, run=_log(store, timing, table, grid, watcher))
    if timing.is_stopped:
        raise Interrupted(result)
    return result


def _measure(job: TimingJob, executor: LocalExecutor, watcher: Watcher) -> Timing:
    """Return what was timed, complete rounds only; raises :class:`Interrupted` for too few of them."""
    warmed: list[Warmed] = []
    rounds: list[Round] = []
    interrupts = Interrupts(executor, watcher.note)
    try:
        with interrupts.caught(), watcher.timing(job):
            for message in executor.time(job):
                match message:
                    case Status(total=total) if total:
                        watcher.timing_progress(message.text, message.done, total)
                    case Status():
                        watcher.timing_status(message.text)
                    case Output():
                        watcher.note(message.text)
                    case Warmed():
                        warmed.append(message)
                        watcher.warmed()
                    case Round():
                        rounds.append(message)
                        watcher.round(message)
    except TrialError:
        if not interrupts.count:
            raise
    if len(rounds) < MIN_ROUNDS:
        timed = counted(len(rounds), "round")
        watcher.note(f"stopped after {timed}: an interval needs {MIN_ROUNDS}, so nothing is kept")
        raise Interrupted
    return Timing(job, tuple(warmed), tuple(rounds), is_stopped=len(rounds) < job.rounds)


def _log(store: Store, timing: Timing, table: TimedTable, grid: GridFile, watcher: Watcher) -> MlflowRun | None:
    """Write the timing to MLflow; if that fails, it is a note and the result is returned anyway."""
    verdicts = [row.verdict for row in table.rows if row.ratio]
    call = TimedCall(
        timing=timing,
        name=grid.name,
        note="\n\n".join(filter(None, (grid.headline, *verdicts, *timing_warnings(timing)))),
        values={row.name: _metrics(timing, table, variant) for variant, row in enumerate(table.rows)},
        texts={TIMING: to_text(to_json(timing, table, name=grid.name, mlflow=None))},
    )
    try:
        return log_timing(store, call)
    except TrackingError as error:
        watcher.note(f"not kept in MLflow: {error.message}")
        return None


def _metrics(timing: Timing, table: TimedTable, variant: int) -> dict[str, float]:
    """Return the metrics of a variant over all rounds."""
    row = table.rows[variant]
    values = {
        metrics.MEDIAN_EPOCH_SECONDS: row.median,
        metrics.MEDIAN_IMAGES_PER_SECOND: images_per_second(timing, variant),
        metrics.PEAK_MEMORY_BYTES: float(timing.warmed[variant].peak_memory_bytes),
    }
    if row.ratio:
        values[metrics.RATIO_TO_BASELINE] = row.ratio.estimate
    if row.ratio and row.ratio.interval:
        values |= {metrics.RATIO_LOW: row.ratio.interval.low, metrics.RATIO_HIGH: row.ratio.interval.high}
    return values
