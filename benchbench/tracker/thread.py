"""Delivery beside the training: a thread that sends journals on, and keeps what it could not send in mind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

from benchbench.errors import BenchError
from benchbench.tracker.store import DEFAULT_EXPERIMENT, Store, is_delivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchbench.journal import Journal

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class TrackerThread:
    """Opens the store at once and delivers journals as they are named. It never disturbs the training.

    A journal that cannot be delivered is tried again after a pause that doubles, until it is delivered or
    :meth:`close` is called. ``on_trouble`` is given a text when deliveries begin to fail, fail in a new way, or
    work again; it is called in this thread.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = DEFAULT_EXPERIMENT,
        *,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._address = (tracking_uri, experiment)
        self._on_trouble = on_trouble
        self._opened: Future[Store] = Future()
        self._changed = threading.Condition()
        self._waiting: dict[str, Journal] = {}
        self._is_busy = False
        self._closing = False
        self._trouble = ""
        # A daemon: a server that holds the line must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="tracker", daemon=True)
        self._thread.start()

    def wait_open(self) -> Store:
        """Return the store once it is open; raises the :class:`TrackingError` that kept it from opening."""
        return self._opened.result()

    def notify(self, journal: Journal) -> None:
        """Have a journal delivered soon; returns at once. Calls that come close together are delivered as one."""
        with self._changed:
            self._waiting[journal.folder.name] = journal
            self._changed.notify_all()

    def close(self, timeout_seconds: float = 30.0) -> list[Journal]:
        """Wait until all is delivered, or for the time given, and return the journals that are not."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            return list(self._waiting.values())

    @property
    def trouble(self) -> str:
        """What keeps deliveries from succeeding now, or an empty text."""
        return self._trouble
