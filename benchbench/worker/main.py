"""The worker process: it alone imports torch, and does what the driver's lines of JSON ask for.

Started as ``python -P -m benchbench.worker.main``. Requests come on standard input and answers go to what
was standard output; prints of plugins go to standard error instead. It ignores SIGINT, which a terminal sends to
the whole group, and ends at once when its standard input closes, since then the driver is gone.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.config.spec import Draft
from benchbench.errors import BenchError
from benchbench.protocol.jobs import Resolved, TrialJob
from benchbench.protocol.timing import TimingJob, timing_event_to_plain
from benchbench.records.adapter import adapter
from benchbench.records.events import event_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.plugin.registry import Registry
    from benchbench.protocol.heartbeat import Heartbeat


class Worker:
    """Answers requests one after another; ``send`` brings an answer to the driver."""

    def __init__(self, send: Callable[[dict[str, Any]], None], heartbeat: Heartbeat) -> None:
        self._send = send
        self._pulse = heartbeat
        self._registry: Registry | None = None

    def answer(self, request: dict[str, Any]) -> None:
        """Carry out one request; whatever goes wrong is an answer too."""
        try:
            {"resolve": self._resolve, "run": self._run, "time": self._time}[request["do"]](request)
        except BenchError as error:
            self._say("refused", error=error.to_json(), traceback=traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the driver must hear of it
            text = f"{type(error).__name__}: {error}"
            refusal = BenchError(text, hint="--debug shows where")
            self._say("refused", error=refusal.to_json(), traceback=traceback.format_exc())

    def _resolve(self, request: dict[str, Any]) -> None:
        from benchbench.worker.resolve import resolve

        origins = request["origins"]
        self._registry = _load_registry(tuple(request["plugin_files"]), None if origins is None else tuple(origins))
        drafts = [Draft.model_validate(draft, strict=False) for draft in request["drafts"]]
        resolved = resolve(drafts, self._registry, data_roots=request["data_roots"])
        self._say("resolved", resolved=adapter(list[Resolved]).dump_python(resolved, mode="json"))

    def _run(self, request: dict[str, Any]) -> None:
        from benchbench.worker.trial import run_trial

        job = adapter(TrialJob).validate_python(request["job"])
        self._pulse.restart(num_trained=0)
        for event in run_trial(job, self._loaded(), heartbeat=self._pulse, on_status=self._on_status):
            self._say("event", event=json.loads(event_to_json(event)))

    def _time(self, request: dict[str, Any]) -> None:
        from benchbench.worker.timing import time_variants

        job = adapter(TimingJob).validate_python(request["job"])
        self._pulse.restart(num_trained=0)
        for event in time_variants(job, self._loaded(), heartbeat=self._pulse, on_status=self._on_status):
            self._say("timing", event=timing_event_to_plain(event))

    def _loaded(self) -> Registry:
        if self._registry is None:
            raise BenchError("a worker must resolve specs before it runs them")
        return self._registry

    def _on_status(self, text: str) -> None:
        self._say("status", text=text)

    def _say(self, what: str, **content: Any) -> None:
        self._send({"say": what} | content)


@lru_cache(maxsize=1)
def _load_registry(plugin_files: tuple[str, ...], origins: tuple[str, ...] | None) -> Registry:
    """Load plugins, once for all requests in a row that need the same."""
    from benchbench.plugin.registry import Registry

    return Registry.load(plugin_files, only=origins)


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()

    from benchbench.protocol.heartbeat import Heartbeat
    from benchbench.worker.accelerate import keep_freed_memory

    keep_freed_memory()
    import benchbench.worker.trial  # noqa: F401 - while the driver is still busy with other things

    def send(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    worker = Worker(send, Heartbeat(Path(sys.argv[1])))
    while (request := requests.get()) is not None:
        worker.answer(request)


def _read_requests(requests: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)
    # An idle worker has left by now. A busy one must not go on: nobody would hear of what it does.
    time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
