"""Where trials run: jobs go in, messages come out. Executors know no journal, MLflow or terminal.

::

    local.py           runs trials in worker processes on this machine
    worker_process.py  starts one worker process, listens to it, and ends it with all that it started
    gpus.py            the GPUs that this process may use
    ray.py             runs trials as Ray tasks, here or on a cluster
    ray_cluster.py     starts a Ray cluster or connects to one, and divides it among trials
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from benchbench.config.spec import Draft
    from benchbench.protocol.jobs import Resolved, TrialJob
    from benchbench.protocol.messages import Output, Status, TrialMessage


class Executor(Protocol):
    """What drives trials: a context manager that runs ``num_jobs`` of them at a time.

    Its end closes it; after an error trials that still run are ended first.
    See :class:`benchbench.executors.local.LocalExecutor` and :class:`benchbench.executors.ray.RayExecutor`.
    """

    num_jobs: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        self.close()

    def resolve(
        self,
        drafts: Iterable[Draft],
        *,
        data_roots: Mapping[str, str],
        origins: Iterable[str],
        hear: Callable[[Status | Output], None] = lambda _: None,
    ) -> list[Resolved]:
        """Return what the drafts mean with the plugins and images as they are now.

        ``data_roots`` are the files or folders of the images, by dataset. From now on workers load only the plugins of
        these ``origins``. ``hear`` gets what the worker is busy with, such as decoding images, and what plugins print.
        Raises what is wrong with the first bad draft.
        """

    def run(self, jobs: deque[TrialJob]) -> Iterator[tuple[TrialJob, TrialMessage]]:
        """Yield what each trial says, with its job.

        The last message of a trial is its last event, a refusal, or a death. Jobs are taken from the left when there
        is room for them; more may be added while this runs.
        """

    def progress(self) -> dict[str, int]:
        """Return the batches trained so far in each running trial, by the folder of its attempt; from any thread."""

    def stop(self) -> None:
        """Ask running trials to end after their batch or a short epoch, and start no more."""

    def suspend(self) -> None:
        """Suspend what runs on this machine, as Ctrl-Z does to this process, until :meth:`wake`."""

    def wake(self) -> None:
        """Let what was suspended go on."""

    def kill(self) -> None:
        """End running trials at once."""

    def close(self) -> None:
        """Give back what the executor holds."""
