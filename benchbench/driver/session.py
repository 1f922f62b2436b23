"""What ``bench run`` and ``bench grid`` have in common: a worker, a store, a display, and trials that pass by.

The worker is started first: while it imports torch, this process finds the plugins and MLflow's store is opened.
"""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from benchbench.data.download import ensure, parse_data_options
from benchbench.driver.event_loop import Drive, new_attempt
from benchbench.driver.listeners import Listeners
from benchbench.driver.plan import Planned, Rules, plan
from benchbench.errors import SpecError, TrackingError
from benchbench.executors.local import LocalExecutor
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.records import machine
from benchbench.records.events import Finished
from benchbench.records.journal import Claim, GridEnd, Journal, mark_dead
from benchbench.tracking import TrackerThread, is_delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from benchbench.config.spec import Draft
    from benchbench.driver.event_loop import Watcher
    from benchbench.executors import Executor
    from benchbench.protocol.jobs import ArtifactLevel, Resolved
    from benchbench.records.record import Record
    from benchbench.report.grid_page import GridPage

FEW_DELIVERIES = 20
"""So many take two seconds or three; what takes longer is announced."""

DELIVERY_SECONDS = 60.0
"""How long to wait at the end for a tracking server that has trouble; the next call delivers what is left."""


@dataclass(frozen=True)
class Options:
    """What ``bench run`` and ``bench grid`` are told besides the trials themselves."""

    device: str = "auto"
    data: tuple[str, ...] = ()
    experiment: str = "bench"
    artifacts: ArtifactLevel = "full"
    rules: Rules = field(default_factory=Rules)
    compiled: bool = False
    checkpoint_every_seconds: float | None = None
    keep_checkpoints: bool = False
    plugin_files: tuple[str, ...] = ()
    num_jobs: int | None = None
    executor: Literal["local", "ray"] = "local"
    address: str | None = None


class Session:
    """An executor, the tracker and what was found of earlier calls. Use as a context manager.

    ``note`` is told of what is no result, such as trouble with the tracking store. Without an ``executor`` it is the
    one that the options name.
    """

    def __init__(
        self,
        options: Options,
        plugin_files: tuple[str, ...],
        *,
        download_bar: Callable[[], AbstractContextManager[Callable[[int, int], None]]],
        note: Callable[[str], None],
        executor: Executor | None = None,
    ) -> None:
        self._options = options
        self._files = plugin_files
        self._download_bar = download_bar
        self._note = note
        self._stack = ExitStack()
        self.executor: Executor = executor or _executor(options, plugin_files)
        self.tracker = TrackerThread(None, options.experiment, on_trouble=note)
        self._ours: dict[str, Journal] = {}
        self._kept_back: Journal | None = None
        self._page: tuple[GridEnd, Callable[[], GridPage]] | None = None

    def __enter__(self) -> Self:
        self._stack.enter_context(self.executor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def resolve(self, drafts: Sequence[Draft]) -> list[Resolved]:
        """Return what the drafts mean; plugins are looked up and images fetched where they have to be."""
        self._catalog = Catalog.read(self._files)
        origins = set().union(*(self._catalog.origins_of(draft) for draft in drafts))
        self.executor.use_origins(origins)
        self.data_roots = {name: self._find_data(name) for name in {draft.dataset.name for draft in drafts}}
        return self.executor.resolve(drafts, data_roots=self.data_roots)

    def plan(self, resolved: Sequence[Resolved]) -> list[Planned]:
        """Return what is left to do, once the store is open."""
        store = self.tracker.wait_open()
        return plan(
            resolved,
            store.known({item.spec.id for item in resolved}),
            rules=self._options.rules,
            tracking_uri=store.tracking_uri,
            experiment=self._options.experiment,
        )

    def settle(self, planned: Sequence[Planned]) -> None:
        """End what calls that were killed left open, and have sent what is not delivered yet."""
        for journal in mark_dead():
            self._note(f"{journal.record().spec_id[:12]} was interrupted: its process ended without a word")
        uri = self.tracker.wait_open().tracking_uri
        attempts = {item.journal.attempt for item in planned if item.journal}
        parents: set[str | None] = set()
        for journal in Journal.all():
            claim = journal.claim()
            if claim is None or claim.tracking_uri != uri or not journal.is_cut_off():
                continue
            parents.add(claim.parent_run_id)
            self._complete_late(journal)
            if journal.attempt in attempts:
                self._ours[journal.attempt] = journal
            else:
                journal.close_claim()
        for parent in filter(None, parents):
            self.close_parent(parent, "killed")
        self._close_parents()
        self.tracker.send_leftovers()

    def job(self, planned: Planned) -> TrialJob:
        """Return the job for a planned trial."""
        spec = planned.resolved.spec
        journal = planned.journal or Journal.of(spec.id, new_attempt())
        self._ours[journal.attempt] = journal
        return TrialJob(
            spec=spec,
            attempt=journal.attempt,
            device=self._options.device,
            data_root=self.data_roots[spec.dataset.name],
            folder=str(journal.folder.absolute()),
            resume=planned.action == "resume",
            compiled=self._options.compiled,
            checkpoint_every_seconds=self._options.checkpoint_every_seconds,
            artifacts=self._options.artifacts,
            plugin_files=tuple(str(Path(file).absolute()) for file in self._files),
        )

    def drive(
        self,
        watcher: Watcher,
        *,
        complete: Callable[[Journal], None] | None = None,
        parent_run_id: str | None = None,
        retries: int = 0,
        max_failures: int | None = None,
    ) -> Drive:
        """Return how the trials are to be driven."""
        return Drive(
            claim=Claim.of_this_process(
                tracking_uri=self.tracker.wait_open().tracking_uri,
                experiment=self._options.experiment,
                parent_run_id=parent_run_id,
            ),
            complete=complete or self.complete,
            deliver=self.tracker.notify,
            watcher=watcher,
            listeners=self._listeners(),
            retries=retries,
            max_failures=max_failures,
        )

    def open_parent(self, name: str, question: str) -> str:
        """Return the MLflow run that stands above the trials of a grid; made, or opened again where it was."""
        return self.tracker.wait_open().open_parent(name, question)

    def close_parent(self, run_id: str, status: str, page: Callable[[], GridPage] | None = None) -> None:
        """End a grid's own run, once the trials are delivered or with the next call.

        ``page`` is asked for its description when the deliveries are over.
        """
        end = GridEnd(self.tracker.wait_open().tracking_uri, run_id, status)
        end.keep()
        self._page = (end, page) if page else None

    def record_of(self, planned: Planned, journal: Journal | None) -> Record | None:
        """Return the record of a trial that began: from its journal, or else from the run that MLflow has."""
        journal = journal or planned.journal
        if journal is not None and journal.exists():
            return journal.record()
        if not planned.run_id:
            return None
        from benchbench.tracking.records import read_run

        return read_run(self.tracker.wait_open().client, planned.run_id)

    def complete(self, journal: Journal) -> None:
        """Add to a trial's artifacts what the worker leaves to this process."""
        if self._options.artifacts == "none":
            return
        from benchbench.report import figures, provenance

        provenance.describe(journal)
        if self._options.artifacts == "full":
            figures.draw(journal)

    def keep_all(self, job: TrialJob) -> None:
        """Add figures and model to what a finished trial keeps, from its last checkpoint.

        Where that cannot be done now, the checkpoint is kept for the next call.
        """
        if self._options.artifacts != "light":
            return
        from benchbench.report import figures

        journal = self._kept_back = Journal(Path(job.folder))
        again = replace(job, resume=True, artifacts="full")
        for _, message in self.executor.run(deque([again])):
            if isinstance(message, Finished):
                figures.draw(journal)
                self.tracker.notify(journal)
                self._kept_back = None

    def drop_checkpoint(self, journal: Journal) -> None:
        """Delete the checkpoint of a finished trial, unless it was asked for."""
        if not self._options.keep_checkpoints:
            journal.drop_checkpoint()

    def close_tracker(self) -> bool:
        """Wait for the deliveries, say what is left for the next call, and drop what was kept for them alone.

        Returns whether nothing is left.
        """
        undelivered = self._wait_for_deliveries()
        self._describe_parent()
        if not undelivered:
            self._close_parents()
        else:
            self._note(
                f"{len(undelivered)} trial(s) not delivered to MLflow yet ({self.tracker.trouble});"
                " the next bench command sends them"
            )
        for journal in self.tracker.delivered():
            if journal.record().status == "finished":
                journal.drop_artifacts()
                if self._kept_back is None or journal.attempt != self._kept_back.attempt:
                    self.drop_checkpoint(journal)
        for journal in self._ours.values():
            journal.close_claim()
        return not undelivered

    def _wait_for_deliveries(self) -> list[Journal]:
        """Return what is not delivered after a while, or when Ctrl-C ends the waiting."""
        try:
            if self.tracker.trouble:
                seconds = f"{DELIVERY_SECONDS:.0f} s"
                self._note(f"waiting {seconds} for the tracking store; Ctrl-C leaves it to the next call")
            elif (num_waiting := self.tracker.num_waiting) > FEW_DELIVERIES:
                self._note(f"sending the last {num_waiting} trials to MLflow; Ctrl-C leaves them to the next call")
            return self.tracker.close(DELIVERY_SECONDS)
        except KeyboardInterrupt:
            return self.tracker.close(0)

    def _describe_parent(self) -> None:
        """Add a page to how the grid ended; where that cannot be, it is worth a note and not the results."""
        if self._page is None:
            return
        end, page = self._page
        try:
            made = page()
            replace(end, note=made.note, files=made.files).keep()
        except Exception as error:  # noqa: BLE001 - whatever strange values do to a table
            self._note(f"the grid's run is not described: {type(error).__name__}: {error}")

    def _close_parents(self) -> None:
        try:
            self.tracker.wait_open().close_parents()
        except TrackingError as error:
            self._note(error.message)

    def _complete_late(self, journal: Journal) -> None:
        """Do what a call that was killed left undone after the end of a trial."""
        # Drawing takes so long that a trial may be delivered before its figures are there.
        if journal.record().status == "finished" and (self._options.artifacts == "full" or not is_delivered(journal)):
            self.complete(journal)
            self.tracker.notify(journal)

    def _find_data(self, name: str) -> str:
        entry = self._catalog.find("dataset", name)
        given = parse_data_options(self._options.data)
        with self._download_bar() as on_progress:
            return str(ensure(entry.name, entry.download, given, on_progress))

    def _listeners(self) -> Listeners:
        """Load the plugins that listen, and no others, into this process."""
        if not self._catalog.listeners:
            return Listeners([], on_trouble=self._note)
        registry = Registry.load(self._files, only=self._catalog.listeners)
        return Listeners(registry.listeners, on_trouble=self._note)


def _executor(options: Options, plugin_files: tuple[str, ...]) -> Executor:
    if options.executor == "ray":
        from benchbench.executors.ray import RayExecutor

        return RayExecutor(
            num_jobs=options.num_jobs, address=options.address, device=options.device, plugin_files=plugin_files
        )
    if options.address is not None:
        raise SpecError("--address is of use with --executor ray only")
    gpus = 0 if options.device not in ("auto", "cuda") else machine.num_gpus()
    num_jobs = options.num_jobs or max(1, gpus if options.num_jobs is None else 1)
    return LocalExecutor(num_jobs=num_jobs, num_gpus=gpus, plugin_files=plugin_files)
