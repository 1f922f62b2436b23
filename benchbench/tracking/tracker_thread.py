"""Delivery during training: a thread that sends journals to MLflow, and tries again what it could not send."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.background import in_background
from benchbench.errors import error_text
from benchbench.records.tracebacks import trace
from benchbench.tracking.store import Store, is_delivered, leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from benchbench.records.journal import Journal

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
_WAKE_SECONDS = 0.5


class TrackerThread:
    """Opens the store at once and delivers journals as they are named. It never disturbs the training.

    A journal that cannot be delivered is tried again after a pause that doubles, until it is delivered or
    :meth:`close` has waited long enough. ``on_trouble`` is given a text if the store's folder was moved, and when
    deliveries begin to fail, fail in a new way, or work again; it is called in this thread.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        *,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._address = (tracking_uri, experiment)
        self._on_trouble = on_trouble
        self._opened: Future[Store] = Future()
        self._changed = threading.Condition()
        self._named: dict[str, Journal] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._is_closing = False
        self._is_abandoned = False
        self._trouble = ""
        # A server that holds the line must not keep the program from ending.
        self._thread = in_background(self._run, name="bench-tracker")

    @property
    def trouble(self) -> str:
        """What keeps deliveries from succeeding now, or an empty text."""
        return self._trouble

    @property
    def num_waiting(self) -> int:
        """How many journals have news that MLflow has not."""
        with self._changed:
            return len(self._waiting)

    def wait_open(self) -> Store:
        """Return the store once it is open; raises the :class:`TrackingError` that kept it from opening."""
        while not self._opened.done():  # and wake up meanwhile: a signal that reached another thread wakes nobody
            wait([self._opened], timeout=_WAKE_SECONDS)
        return self._opened.result()

    def notify(self, journal: Journal) -> None:
        """Have a journal delivered soon; returns at once. Calls close together become one delivery."""
        with self._changed:
            self._named[journal.folder.name] = journal
            self._waiting[journal.folder.name] = _Waiting(journal)
            self._changed.notify_all()

    def send_leftovers(self) -> None:
        """Have delivered what earlier calls could not deliver; returns at once. Calls that run deliver their own."""
        for journal in leftovers(self.wait_open().tracking_uri):
            if not journal.is_in_use():
                self.notify(journal)

    def delivered(self) -> list[Journal]:
        """Return the journals that were named and are delivered whole."""
        with self._changed:
            return [journal for journal in self._named.values() if is_delivered(journal)]

    def deleted(self) -> list[Journal]:
        """Return the journals that were named and whose runs someone deleted before MLflow had all."""
        with self._changed:
            return [journal for journal in self._named.values() if journal.is_deleted()]

    def close(self, timeout_seconds: float = 30.0, *, needed: Collection[str] | None = None) -> list[Journal]:
        """Wait until all is delivered, or nothing is for the time given, and return the journals that are not.

        If the attempts ``needed`` are delivered, all others are only tried once more.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            for waiting in self._waiting.values():
                waiting.has_failed = False
        num_waiting = len(self._waiting) + 1
        while self._thread.is_alive() and len(self._waiting) < num_waiting and not self._is_hopeless(needed):
            num_waiting = len(self._waiting)
            self._join(timeout_seconds, num_waiting, needed)
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()
            return [waiting.journal for waiting in self._waiting.values()]

    def _join(self, timeout_seconds: float, num_waiting: int, needed: Collection[str] | None) -> None:
        """Wait for the end or for news, and wake up meanwhile, as :meth:`wait_open` does."""
        deadline = time.monotonic() + timeout_seconds
        while self._thread.is_alive() and len(self._waiting) == num_waiting and time.monotonic() < deadline:
            if self._is_hopeless(needed):
                return
            self._thread.join(min(_WAKE_SECONDS, timeout_seconds))

    def _is_hopeless(self, needed: Collection[str] | None) -> bool:
        """Tell whether nothing that is needed waits, and all that does could not be sent when it was tried again."""
        with self._changed:
            return needed is not None and all(
                waiting.has_failed and waiting.journal.attempt not in needed for waiting in self._waiting.values()
            )

    def _run(self) -> None:
        try:
            store = Store.open(*self._address)
        except Exception as error:  # noqa: BLE001 - whoever waits for the store gets it
            self._opened.set_exception(error)
            return
        self._opened.set_result(store)
        if store.note:
            self._tell(store.note, trouble="")
        pauses = _pauses()
        while (waiting := self._next()) is not None:
            try:
                if not is_delivered(waiting.journal):
                    store.deliver(waiting.journal)
            except Exception as error:  # noqa: BLE001 - training goes on, whatever it is
                self._failed(waiting, error, pause_seconds=next(pauses))
            else:
                self._delivered(waiting)
                pauses = _pauses()

    def _next(self) -> _Waiting | None:
        """Return the journal that has waited longest, once there is one; None when it is time to end."""
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            return None if self._is_abandoned else next(iter(self._waiting.values()), None)

    def _delivered(self, waiting: _Waiting) -> None:
        name = waiting.journal.folder.name
        with self._changed:
            if self._waiting[name] is waiting:
                del self._waiting[name]
            else:
                self._waiting[name] = self._waiting.pop(name)
        if self._trouble:
            self._tell("the tracking store is back, and what waited is being delivered", trouble="")

    def _failed(self, waiting: _Waiting, error: Exception, *, pause_seconds: float) -> None:
        text = error_text(error)
        if text != self._trouble:
            trace(error)
            self._tell(text, trouble=text)
        name = waiting.journal.folder.name
        with self._changed:
            self._waiting[name] = self._waiting.pop(name)
            waiting.has_failed = True
            was_closing = self._is_closing
            pause_seconds = FIRST_PAUSE_SECONDS if was_closing else pause_seconds
            self._changed.wait_for(lambda: self._is_abandoned or self._is_closing != was_closing, timeout=pause_seconds)

    def _tell(self, text: str, *, trouble: str) -> None:
        self._trouble = trouble
        with suppress(Exception):  # a terminal that is gone must not end the delivery
            self._on_trouble(text)


@dataclass(eq=False)
class _Waiting:
    """One notification: a newer one of the same journal is another object."""

    journal: Journal
    has_failed: bool = False


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
