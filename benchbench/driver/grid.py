"""``bench.grid``: run all trials of a TOML file that are not done yet."""

from __future__ import annotations

import importlib
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from benchbench.background import in_background
from benchbench.config import defaults, grid_file
from benchbench.config.grid_checks import check_grid
from benchbench.config.text_files import read_text
from benchbench.driver.grid_state import GridState
from benchbench.driver.interrupts import Interrupted, interruptible
from benchbench.driver.plan import Rules
from benchbench.driver.settings import Settings, TrialOptions, refuse_unknown_arguments, setting_texts
from benchbench.driver.trials import TrialRequest, run_trials
from benchbench.driver.watcher import Watcher
from benchbench.errors import SpecError, error_text
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.metrics import check_question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.config.defaults import ExecutorName
    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Spec
    from benchbench.driver.grid_result import GridResult
    from benchbench.records.known_runs import KnownRuns

MAX_REPORTED = 200
"""For more trials, a report is written only on request: fetching the files of each takes 0.1 s."""

RETRIES = 1
"""How often a trial whose worker was killed by the system is resumed."""


def grid(  # noqa: PLR0913 - one argument for each option of the command
    file: str | Path,
    *,
    precision: str | None = None,
    set: Mapping[str, object] | None = None,  # noqa: A002 - the word of the command line
    jobs: int | None = None,
    executor: ExecutorName = "local",
    address: str | None = None,
    again: bool = False,
    rerun_stale: bool = False,
    fresh: bool = False,
    resume_anyway: bool = False,
    max_failures: int | None = None,
    decide: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    watcher: Watcher | None = None,
    **options: Unpack[TrialOptions],
) -> GridResult:
    """Run the trials of a grid file that are not done yet, and return all of its trials with their results.

    Trials that are done are skipped, unless ``again`` is true, or ``rerun_stale`` and their plugins or packages have
    changed. Interrupted ones are resumed, unless ``fresh`` is true; ``resume_anyway`` resumes them even if one of
    their plugins has changed. ``set`` and ``precision`` hold for every trial and replace those of the file. ``jobs``
    trials run at a time, by default one, or one on each GPU; with ``executor="ray"`` they run on the cluster at
    ``address``. No trial is started after ``max_failures`` have failed. ``decide`` adds seeds until every comparison is
    decided, as ``decide`` in the file's ``[compare]`` does. ``dry_run`` only plans. ``yes`` allows more than 10,000
    trials, and abandons interrupted trials of the last call that this one does not have. ``options`` are those of
    :class:`~benchbench.driver.settings.TrialOptions`; ``artifacts`` is ``light`` by default, and the best trial keeps
    everything. Nothing is printed; ``watcher`` receives the progress.

    Raises :class:`~benchbench.errors.BenchError` for errors before the first trial begins, and
    :class:`~benchbench.driver.interrupts.Interrupted` on Ctrl-C, with the result so far.
    """
    refuse_unknown_arguments(grid, options)
    path = Path(file)
    overrides = {} if precision is None else {"precision": precision}
    read = grid_file.load(path, setting_texts(set), overrides=overrides, decide=decide)
    check_question(read.question, read.expected)
    drafts = read.expand(allow_many=yes)
    settings = Settings.of(
        {"artifacts": defaults.ARTIFACTS_OF_GRID, **options},
        plugins=read.plugins,
        rules=Rules(again=again, rerun_stale=rerun_stale, fresh=fresh, resume_anyway=resume_anyway),
        jobs=jobs,
        max_failures=max_failures,
        executor=executor,
        address=address,
    )
    watcher, state = watcher or Watcher(), GridState(path)
    has_report = bool(kept_at(settings.training.artifacts))

    def check_known(specs: list[Spec], known: KnownRuns) -> None:
        try:
            state.check_all_included(specs, deleted=known.deleted_attempts)
        except SpecError as error:
            if not dry_run:
                raise
            watcher.note(error.message)

    request = TrialRequest(
        drafts=drafts,
        check=partial(check_grid, read),
        check_known=None if yes else check_known,
        begin=state.begin,
        grid=read,
        grid_text=read_text(path),
        dry_run=dry_run,
        retries=RETRIES,
        on_trained=_import_report if has_report else lambda: None,
    )
    with nullcontext() if dry_run else state.locked():
        result = run_trials(request, settings, watcher)
    is_complete = result.is_over and result.is_delivered and any(trial.is_new for trial in result.trials)
    if has_report and is_complete and len(result.trials) <= MAX_REPORTED:
        with interruptible(lambda: result):
            result = replace(result, has_report=_report(read, result, settings.experiment, watcher))
    if result.is_interrupted:
        raise Interrupted(result)
    return result


def _import_report() -> None:
    """Import what a report needs while the best model is exported: it takes two seconds, and nothing is timed now."""
    in_background(importlib.import_module, "benchbench.driver.report", name="bench-report")


def _report(grid: GridFile, result: GridResult, experiment: str, watcher: Watcher) -> bool:
    """Put a report among the files of the grid's own run; if that fails, say why."""
    from benchbench.compare.configurations import baseline_first
    from benchbench.driver import report
    from benchbench.driver.study import Study, StudyRecords
    from benchbench.tracking.grid_runs import find_designs
    from benchbench.tracking.stored_records import read_experiment

    try:
        earlier = find_designs(experiment, name=grid.name, file=grid.path).earlier
        study = replace(Study.of_grid(grid), earlier=earlier, experiment=experiment)
        positions = {trial.spec.id: position for position, trial in enumerate(result.trials)}
        loaded = read_experiment(experiment, spec_ids=positions).records
        in_order = sorted(loaded, key=lambda record: positions[record.spec_id])
        records = baseline_first(in_order, [trial.spec for trial in result.trials])
        with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
            path = Path(folder) / file_names.REPORT
            asked = StudyRecords(study, grid.question, records)
            return report.write_study_report(asked, path, note=watcher.note).run_id is not None
    except Exception as error:  # noqa: BLE001 - the trials are done, whatever goes wrong with their report
        watcher.fault(f"no report: {error_text(error)}", error)
        return False
