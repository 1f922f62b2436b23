"""Trials from drafts to results, for one trial and for a grid alike: open, resolve, plan, train, deliver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.differences import describe_spec
from benchbench.driver import end_of_call, leftovers
from benchbench.driver.artifact_policy import ArtifactPolicy, BestTrial
from benchbench.driver.event_loop import Drive, Ending, new_attempt
from benchbench.driver.grid_description import GridDescription, read_record
from benchbench.driver.grid_result import GridResult, Trial
from benchbench.driver.interrupts import interruptible
from benchbench.driver.listeners import load_listeners
from benchbench.driver.next_trials import AdaptiveTrials, AllTrials, NextTrials
from benchbench.driver.plan import OtherCalls, check_resumable, plan
from benchbench.driver.resolving import resolve
from benchbench.driver.services import open_services
from benchbench.protocol.jobs import Continued, TrialJob
from benchbench.records.calls import calling
from benchbench.records.claim import Claim
from benchbench.records.grid_end import GridEnd
from benchbench.records.journal import Journal
from benchbench.records.record import MlflowRun
from benchbench.tracking.run_data import keys_of_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.config.grid_file import GridFile
    from benchbench.config.spec import Draft, Spec
    from benchbench.driver.event_loop import TrialOutcome
    from benchbench.driver.plan import Planned
    from benchbench.driver.resolving import Resolution
    from benchbench.driver.services import Services
    from benchbench.driver.settings import Settings
    from benchbench.driver.watcher import Watcher
    from benchbench.records.calls import Call
    from benchbench.records.known_runs import KnownRuns
    from benchbench.records.record import Record
    from benchbench.report.grid_page import GridPage
    from benchbench.tracking import Store


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """The trials that are asked for.

    ``check`` is told the specs before anything else is done with them, ``check_known`` also the runs that MLflow has of
    them, and ``begin`` the specs before the first is trained.
    ``grid`` is the file that they come from and ``grid_text`` what stands in it; with them the trials get a run of
    their own in MLflow, and the best keeps its figures and model.
    """

    drafts: tuple[Draft, ...]
    check: Callable[[list[Spec]], None] = lambda _: None
    check_known: Callable[[list[Spec], KnownRuns], None] | None = None
    begin: Callable[[list[Spec]], None] = lambda _: None
    grid: GridFile | None = None
    grid_text: str = ""
    dry_run: bool = False
    retries: int = 0
    on_trained: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """Return the name of the grid, or nothing."""
        return self.grid.name if self.grid else ""

    @property
    def progress_before(self) -> AdaptiveProgress | None:
        """Return the progress of an adaptive design before its first look, or None for another."""
        if self.grid is None or self.grid.design is None:
            return None
        from benchbench.compare.adaptive import AdaptiveProgress

        return AdaptiveProgress.begin(self.grid.question, self.grid.design)


def run_trials(request: TrialRequest, settings: Settings, watcher: Watcher) -> GridResult:
    """Run the trials that are not done yet, and return the results of all of them, also if Ctrl-C stopped some.

    Raises :class:`~benchbench.errors.BenchError` for what is wrong before the first trial begins, and
    :class:`~benchbench.driver.interrupts.Interrupted` on Ctrl-C before or after they train.
    """
    result: GridResult | None = None
    with interruptible(lambda: result), open_services(settings, watcher) as services:
        result = _run_with(services, request, settings, watcher)
    return result


def _run_with(services: Services, request: TrialRequest, settings: Settings, watcher: Watcher) -> GridResult:
    resolution = resolve(request.drafts, services.executor, settings, watcher)
    request.check(resolution.specs)
    watcher.status("opening the tracking store")
    store = services.tracker.wait_open()
    others = OtherCalls.of(resolution.resolved, (store.tracking_uri, store.experiment_id))
    known = store.find_known_runs({spec.id for spec in resolution.specs})
    if request.check_known is not None:
        request.check_known(resolution.specs, known)
    planned = plan(
        resolution.resolved,
        known,
        rules=settings.rules,
        tracking_uri=store.tracking_uri,
        experiment_id=store.experiment_id,
    )
    if not request.dry_run:
        check_resumable(planned, settings.rules)
    if request.progress_before is not None:
        watcher.looked(request.progress_before)
    watcher.planned(planned, num_jobs=services.executor.num_jobs)
    if request.dry_run:
        return GridResult(
            request.name, tuple(_trial(item, None, None) for item in planned), progress=request.progress_before
        )
    request.begin(resolution.specs)
    with calling() as call:
        return _Session(request, settings, watcher, services, resolution, tuple(planned), others, call).run()


@dataclass(frozen=True)
class _Session:
    """Runs a plan and delivers its results."""

    request: TrialRequest
    settings: Settings
    watcher: Watcher
    services: Services
    resolution: Resolution
    plan: tuple[Planned, ...]
    others: OtherCalls
    call: Call

    @cached_property
    def artifact_policy(self) -> ArtifactPolicy:
        """How much is kept of each trial."""
        return ArtifactPolicy(self.settings.training.artifacts, self.settings.keep_checkpoints, self.watcher.note)

    @cached_property
    def jobs(self) -> dict[str, TrialJob]:
        """The jobs of all trials that may be trained, by spec id."""
        return {item.resolved.spec.id: self._job(item) for item in self.plan if item.action != "skip"}

    @cached_property
    def journals(self) -> dict[str, Journal]:
        """The journals of those trials, by spec id."""
        return {spec_id: Journal(Path(job.folder)) for spec_id, job in self.jobs.items()}

    def run(self) -> GridResult:
        """Train what is planned and deliver it."""
        taken_over = leftovers.finish(
            self.plan, self.services.tracker, self.artifact_policy, call=self.call, note=self.watcher.note
        )
        if self.request.grid is None:
            result = self._run_one()
        else:
            result = self._run_grid(self.request.grid, cut_off={journal.attempt for journal in taken_over})
        # After an error claims stay open, so that the next call completes what this one has left undone.
        for journal in (*taken_over, *self.journals.values()):
            journal.close_claim(self.call)
        return result

    def _run_one(self) -> GridResult:
        ending = self._train(list(self.jobs.values()), self.artifact_policy.complete, parent_run_id=None)
        batches = AllTrials(self.plan, self.jobs)
        with self._interruptible(ending, batches):
            return self._result(ending, batches, is_delivered=self._deliver())

    def _run_grid(self, grid: GridFile, *, cut_off: Collection[str]) -> GridResult:
        best = BestTrial(self.artifact_policy, [item for item in self.plan if item.action == "skip"], cut_off=cut_off)
        best.give_up_if_changed()
        store = self.services.tracker.wait_open()
        batches = self._batches(store)
        batch = batches.next()
        if not batch and not best.is_waiting and not cut_off:
            is_delivered = self._deliver()
            result = self._result(Ending([], is_interrupted=False), batches, is_delivered=is_delivered)
            return _with_earlier_run(result, store, grid)
        run = _open_run(store, grid)
        # Kept before anything can end this call; when the grid has ended, its own end replaces this one.
        GridEnd(run.tracking_uri, run.run_id, "killed", call=self.call).keep()
        earlier = store.earlier_designs(run.run_id)
        if any(not one.has_looks_of(grid.design) for one in earlier):
            self.watcher.note(
                "`decide` has changed since this grid last ran; bench compare says how this affects its verdicts"
            )
        ending = self._train_batches(batch, batches, best.complete, parent_run_id=run.run_id)
        with self._interruptible(ending, batches, run):
            self.request.on_trained()
            kept_back = self._keep_best(best)
            result = self._result(ending, batches)
            end = GridEnd(run.tracking_uri, run.run_id, result.status)
            end.keep()
            description = GridDescription(grid, self.request.grid_text, store, earlier, self.watcher.note)
            page = partial(self._page, description, batches, is_over=result.is_over)
            is_delivered = self._deliver(kept_back=kept_back, ended=(end, page))
            return self._result(ending, batches, is_delivered=is_delivered, run=run)

    def _interruptible(
        self, ending: Ending, batches: NextTrials, run: MlflowRun | None = None
    ) -> AbstractContextManager[None]:
        """Have Ctrl-C in the block raise ``Interrupted`` with what the trials came to."""
        stopped = replace(ending, is_interrupted=True)
        return interruptible(lambda: self._result(stopped, batches, is_delivered=False, run=run))

    def _keep_best(self, best: BestTrial) -> Journal | None:
        """Keep figures and model of the best trial; return its journal if that cannot be done now."""
        jobs = [self._job(best.done_before)] if best.done_before else list(self.jobs.values())
        return best.keep_all(jobs, self.services)

    def _batches(self, store: Store) -> NextTrials:
        progress = self.request.progress_before
        if progress is None:
            return AllTrials(self.plan, self.jobs)
        return AdaptiveTrials(self.plan, self.jobs, progress, lambda item: self._known(item, store), self.watcher)

    def _train_batches(
        self,
        batch: list[TrialJob],
        batches: NextTrials,
        complete: Callable[[Journal], None],
        *,
        parent_run_id: str,
    ) -> Ending:
        """Train batch after batch, until there is none, an interrupt, or too many failures."""
        ending = Ending([], is_interrupted=False)
        while batch and not ending.is_interrupted:
            latest = self._train(batch, complete, parent_run_id=parent_run_id, num_failures=ending.num_failures)
            ending = Ending([*ending.outcomes, *latest.outcomes], latest.is_interrupted)
            if self.settings.max_failures is not None and ending.num_failures >= self.settings.max_failures:
                break
            batch = [] if ending.is_interrupted else batches.next()
        return ending

    def _deliver(
        self, *, kept_back: Journal | None = None, ended: tuple[GridEnd, Callable[[], GridPage]] | None = None
    ) -> bool:
        """Wait for MLflow to have everything and clean up; return whether it has."""
        tracker, note = self.services.tracker, self.watcher.note
        ours = {item.journal.attempt for item in self.plan if item.journal}
        ours |= {job.attempt for job in self.jobs.values()}
        for journal in self.artifact_policy.complete_again():
            tracker.notify(journal)
        is_delivered = end_of_call.wait_for_deliveries(tracker, note, ours=ours)
        if ended is not None:
            end_of_call.describe_grid(*ended, self.watcher)
        if is_delivered:
            end_of_call.close_grids(tracker, note)
        end_of_call.drop_delivered(tracker, self.artifact_policy, ours=ours, kept_back=kept_back)
        return is_delivered

    def _train(
        self,
        jobs: list[TrialJob],
        complete: Callable[[Journal], None],
        *,
        parent_run_id: str | None,
        num_failures: int = 0,
    ) -> Ending:
        if not jobs:
            return Ending([], is_interrupted=False)
        executor, note, store = self.services.executor, self.watcher.note, self.services.tracker.wait_open()
        drive = Drive(
            claim=Claim(
                tracking_uri=store.tracking_uri,
                experiment=store.experiment,
                experiment_id=store.experiment_id,
                call=self.call,
                parent_run_id=parent_run_id,
                artifacts=self.settings.training.artifacts,
                keeps_checkpoint=self.settings.keep_checkpoints,
            ),
            complete=complete,
            deliver=self.services.tracker.notify,
            watcher=self.watcher,
            listeners=load_listeners(self.resolution.catalog, self.settings.plugin_files, on_trouble=note),
            varied={job.attempt: self._varied(job.spec) for job in jobs},
            retries=self.request.retries,
            max_failures=None if self.settings.max_failures is None else self.settings.max_failures - num_failures,
            others=None if self.settings.rules.again else self.others,
        )
        with self.watcher.training(jobs, executor.progress):
            ending = drive.run(jobs, executor)
        # Of a trial that another call has finished, the journal is that one's.
        self.journals.update({outcome.job.spec.id: Journal(Path(outcome.job.folder)) for outcome in ending.outcomes})
        return ending

    def _varied(self, spec: Spec) -> str:
        """Return what the name of a run in a grid has besides the usual, such as ``lr=0.01 augmentation=flip``."""
        return describe_spec(spec, self._varying).replace("optimizer.", "")

    @cached_property
    def _varying(self) -> tuple[str, ...]:
        return keys_of_names(self.resolution.specs)

    def _job(self, planned: Planned) -> TrialJob:
        spec = planned.resolved.spec
        journal = planned.journal or Journal.of(spec.id, new_attempt(spec.id))
        return TrialJob(
            spec=spec,
            attempt=journal.attempt,
            data_root=self.resolution.data_roots[spec.dataset.name],
            folder=str(journal.folder.absolute()),
            training=self.settings.training,
            resume=planned.action == "resume",
            continues=_continued(planned),
            plugin_files=self.settings.plugin_paths,
            others=None if self.settings.rules.again else self.others.known(spec.id),
        )

    def _result(
        self,
        ending: Ending,
        batches: NextTrials,
        *,
        is_delivered: bool = True,
        run: MlflowRun | None = None,
    ) -> GridResult:
        outcomes = {outcome.job.spec.id: outcome for outcome in ending.outcomes}
        return GridResult(
            self.request.name,
            tuple(
                _trial(item, outcomes.get(spec_id := item.resolved.spec.id), self.journals.get(spec_id))
                for item in batches.wanted
            ),
            progress=batches.progress,
            is_interrupted=ending.is_interrupted,
            is_delivered=is_delivered,
            run=run,
        )

    def _page(self, description: GridDescription, batches: NextTrials, *, is_over: bool) -> GridPage:
        records = [self._known(item, description.store) for item in batches.wanted]
        return description.page(batches.wanted, records, progress=batches.progress, is_over=is_over)

    def _known(self, item: Planned, store: Store) -> Record | None:
        return read_record(item, self.journals.get(item.resolved.spec.id), store)


def _open_run(store: Store, grid: GridFile) -> MlflowRun:
    """Open the grid's own run in MLflow."""
    run_id = store.open_parent(grid.name, file=grid.path, headline=grid.headline, design=grid.design)
    return MlflowRun(store.tracking_uri, store.experiment_id, run_id)


def _with_earlier_run(result: GridResult, store: Store, grid: GridFile) -> GridResult:
    """Return the result of a call that had nothing to do with the run that an earlier call made, if one did."""
    parent = store.find_parent(grid.name, file=grid.path)
    if parent is None:
        return result
    run_id, has_report = parent
    return replace(result, run=MlflowRun(store.tracking_uri, store.experiment_id, run_id), has_report=has_report)


def _continued(planned: Planned) -> Continued | None:
    """Return the shorter trial that a new one goes on from, if it does."""
    if planned.shorter is None or not planned.is_continuation:
        return None
    return Continued(planned.shorter.record.spec_id, str(planned.shorter.journal.folder.absolute()))


def _trial(planned: Planned, outcome: TrialOutcome | None, journal: Journal | None) -> Trial:
    """Return what came of a planned trial; its record is read again, since MLflow's run is known only now."""
    if planned.action == "skip":
        here = planned.journal
        return Trial(planned, "finished", record=here.record() if here and here.exists() else None)
    if outcome is None:
        return Trial(planned, "not started")
    if outcome.record is None or journal is None:
        return Trial(planned, "refused", is_new=True, error=outcome.error)
    latest = journal.record()
    record = outcome.record if latest.status == "running" else latest  # another call may have resumed it since
    assert record.status != "running"  # noqa: S101 - an outcome with a record has ended
    return Trial(planned, record.status, is_new=not outcome.is_elsewhere, record=record)
