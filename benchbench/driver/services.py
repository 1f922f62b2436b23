"""What a call opens: an executor, whose workers start at once, and a tracker, which opens the store beside them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.executors.gpus import visible_gpus
from benchbench.executors.local import LocalExecutor
from benchbench.paths import ensure_home
from benchbench.tracking import TrackerThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.driver.settings import Settings
    from benchbench.driver.watcher import Watcher
    from benchbench.executors import Executor


@dataclass(frozen=True)
class Services:
    """An executor and a tracker."""

    executor: Executor
    tracker: TrackerThread


@contextmanager
def open_services(settings: Settings, watcher: Watcher) -> Iterator[Services]:
    """Give the executor of the settings and a tracker; the executor is closed at the end, with its workers."""
    ensure_home()
    # The executor first: its workers import torch while this process is busy with the rest.
    with open_executor(settings) as executor, tracking(settings, watcher) as tracker:
        try:
            yield Services(executor, tracker)
        except BaseException:
            # At once, since the tracker may need seconds to end.
            executor.kill()
            raise


@contextmanager
def tracking(settings: Settings, watcher: Watcher) -> Iterator[TrackerThread]:
    """Give a tracker that opens the store; trouble with it is a note. It ends with the block, delivered or not."""
    tracker = TrackerThread(None, settings.experiment, on_trouble=watcher.note)
    try:
        yield tracker
    finally:
        tracker.close(0)


def open_executor(settings: Settings) -> Executor:
    """Return the executor that the settings name."""
    if settings.executor == "ray":
        from benchbench.executors.ray import RayExecutor

        return RayExecutor(
            num_jobs=settings.jobs,
            address=settings.address,
            device=settings.training.device,
            plugin_files=settings.plugin_files,
        )
    device = settings.training.device
    gpus = visible_gpus() if device in ("auto", "cuda") and settings.jobs != 1 else ()
    return LocalExecutor(
        num_jobs=settings.jobs or max(1, len(gpus)),
        gpus=gpus,
        # Torch's Adam wakes every GPU that it sees, which takes memory there, for a trial on the CPU as well.
        hides_gpus=device == "cpu",
        plugin_files=settings.plugin_files,
    )
