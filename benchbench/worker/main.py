"""The worker process, which imports torch and does what the driver asks for.

Started as ``python -P -m benchbench.worker.main FILE_DESCRIPTOR COUNTER_FILE``. The descriptor is a socket that
carries requests and answers; what plugins print goes to the driver as output. A worker ignores SIGINT, SIGHUP and
SIGTERM, which a terminal or a scheduler sends to all processes: the driver asks it to stop. It ends when its driver is
gone, with all processes that plugins have started.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.kinds import KINDS
from benchbench.errors import BenchError
from benchbench.protocol.channel import Channel
from benchbench.protocol.jobs import Resolved
from benchbench.protocol.messages import (
    Refused,
    Resolve,
    ResolvedSpecs,
    Retiring,
    RunTrial,
    Status,
    TimeVariants,
    TimingUpdate,
    TrialEvent,
    no_status,
)
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.events import Failed, Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from benchbench.config.spec import Draft, PluginSpec
    from benchbench.plugin.registry import Registry
    from benchbench.protocol.jobs import TimingJob, TrialJob
    from benchbench.protocol.messages import Answer, OnStatus, Request

GRACE_SECONDS = 1.0
"""How long an idle worker has to end by itself once its driver is gone; a busy one is ended then."""


def device_works() -> bool:
    """Tell whether the GPU that this process uses, if it uses one, still does what it is asked to."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except Exception:  # noqa: BLE001 - whatever the driver of a GPU raises, it is of no more use
        return False
    return True


class Worker:
    """Answers requests one after another; ``send`` brings an answer to the driver."""

    def __init__(
        self,
        send: Callable[[Answer], None],
        counter: SharedCounter,
        device_works: Callable[[], bool] = device_works,
    ) -> None:
        self._send = send
        self._device_works = device_works
        self._counter = counter
        self._registry: Registry | None = None

    def answer(self, request: Request) -> None:
        """Carry out one request; whatever goes wrong is an answer too."""
        try:
            match request:
                case Resolve():
                    self._resolve(request)
                case RunTrial():
                    self._run(request.job)
                case TimeVariants():
                    self._time(request.job)
        except BenchError as error:
            self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the driver must hear of it
            self._refuse(BenchError(f"{type(error).__name__}: {error}", hint="--debug shows where"))

    def _resolve(self, request: Resolve) -> None:
        from benchbench.worker.accelerate import choose_device

        registry = _load_registry(request.plugin_files, request.origins)
        if registry is not self._registry:
            has_earlier, self._registry = self._registry is not None, registry
            _spare_collections(has_earlier=has_earlier)
        specs = resolve(request.drafts, registry, data_roots=request.data_roots, on_status=self._on_status)
        self._send(ResolvedSpecs(tuple(specs), choose_device(request.device).type))

    def _run(self, job: TrialJob) -> None:
        from benchbench.worker.trial import run_trial

        self._counter.restart(num_trained=0)
        has_ended = False
        try:
            for event in run_trial(job, self._loaded(), counter=self._counter, on_status=self._on_status):
                if isinstance(event, Failed):
                    self._retire_without_a_device()
                self._send(TrialEvent(event))
                has_ended = isinstance(event, Finished | Failed)
        except Exception:
            if not has_ended:
                raise
            traceback.print_exc()  # an answer would be taken for one of the next trial

    def _time(self, job: TimingJob) -> None:
        from benchbench.worker.timing import time_variants

        self._counter.restart(num_trained=0)
        for event in time_variants(job, self._loaded(), counter=self._counter, on_status=self._on_status):
            self._send(TimingUpdate(event))

    def _refuse(self, error: BenchError) -> None:
        self._retire_without_a_device()
        self._send(Refused.of(error, traceback.format_exc()))

    def _retire_without_a_device(self) -> None:
        """Ask to be replaced if the GPU is lost to this process, as it is after an illegal access to its memory."""
        if not self._device_works():
            self._send(Retiring())

    def _loaded(self) -> Registry:
        if self._registry is None:
            raise BenchError("a worker must resolve specs before it runs them")
        return self._registry

    def _on_status(self, text: str, done: int = 0, total: int = 0) -> None:
        self._send(Status(text, done, total))
        if total:
            self._counter.check()  # such work may take minutes, and nothing else asks meanwhile


@lru_cache(maxsize=1)
def _load_registry(plugin_files: tuple[str, ...], origins: tuple[str, ...] | None) -> Registry:
    """Load plugins, once for consecutive requests that need the same."""
    from benchbench.plugin.registry import Registry

    return Registry.load(plugin_files, only=origins)


def _spare_collections(*, has_earlier: bool) -> None:
    """Let collections of garbage, of which each trial needs some, pass over what has been imported: 0.1 s each.

    What an earlier request needed may be garbage by now.
    """
    if has_earlier:
        gc.unfreeze()
        gc.collect()
    gc.freeze()


def resolve(
    drafts: Iterable[Draft],
    registry: Registry,
    *,
    data_roots: Mapping[str, str],
    on_status: OnStatus = no_status,
) -> list[Resolved]:
    """Return the drafts as specs, each with the digest of its images, which are decoded if they never were.

    ``on_status`` is told how many are. Raises a :class:`~benchbench.errors.BenchError` for the first bad draft.
    """
    digests: dict[str, str] = {}
    resolved = []
    for spec in [registry.resolve(draft) for draft in drafts]:
        key = json.dumps([spec.dataset.name, spec.dataset.params], sort_keys=True)
        if key not in digests:
            digests[key] = _data_digest(spec.dataset, registry, Path(data_roots[spec.dataset.name]), on_status)
        sources: dict[str, str] = {kind: registry.source_digest(kind, spec.plugin(kind).name) for kind in KINDS}
        scheduler = registry.create("scheduler", spec.scheduler)
        resolved.append(Resolved(spec, digests[key], sources, depends_on_length=scheduler.depends_on_length))
    return resolved


def _data_digest(spec: PluginSpec, registry: Registry, root: Path, on_status: OnStatus) -> str:
    from benchbench.data import cache as data_cache

    dataset = registry.create("dataset", spec)
    source_digest = registry.source_digest("dataset", spec.name)
    known = data_cache.digest_of(dataset, root, source_digest=source_digest)
    on_progress = partial(on_status, f"decoding {spec.name}")
    return known or data_cache.load(dataset, root, source_digest=source_digest, on_progress=on_progress).facts.digest


def main() -> None:
    """Serve until the driver sends no more."""
    _ignore_signals()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(channel, requests), daemon=True).start()

    from benchbench.worker.accelerate import keep_freed_memory

    keep_freed_memory()
    import benchbench.worker.trial  # noqa: F401 - while the driver is still busy with other things
    from benchbench.worker.system_metrics import count_suspensions

    count_suspensions()

    worker = Worker(channel.send, SharedCounter(Path(sys.argv[2])))
    while (request := requests.get()) is not None:
        worker.answer(request)


def _ignore_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Children inherit what is ignored, but no handler: Process.terminate() must end those of a plugin.
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))


def _receive(channel: Channel, requests: queue.SimpleQueue[Request | None]) -> None:
    _read(channel, requests)
    # An idle worker has ended by now. A busy one must not go on: nobody would hear of what it does.
    time.sleep(GRACE_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _read(channel: Channel, requests: queue.SimpleQueue[Request | None]) -> None:
    """Pass on requests, and None after the last; an error in reading them is printed and ends them."""
    try:
        for request in channel.messages():
            requests.put(request)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - whatever pydantic raises, nothing more is heard, and the worker must end
        traceback.print_exc()
    requests.put(None)


if __name__ == "__main__":
    main()
