"""Plugins that listen to trials: each receives every event, until it raises an exception.

What they print goes to standard error: standard output may be JSON.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from benchbench.errors import BenchError
from benchbench.plugin.failures import explain
from benchbench.plugin.registry import Registry
from benchbench.records.tracebacks import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchbench.plugin.catalog import Catalog
    from benchbench.records.events import Event
    from benchbench.records.record import Record

    Listener = Callable[..., object]


class Listeners:
    """The listeners of this process, by the origin of their plugin.

    ``on_trouble`` gets one line for each listener that fails; the trial never notices.
    """

    def __init__(self, listeners: Iterable[tuple[str, Listener]], *, on_trouble: Callable[[str], None]) -> None:
        self._listeners = list(listeners)
        self._on_trouble = on_trouble

    def tell(self, event: Event, record: Record) -> None:
        """Pass an event to every listener that has not failed."""
        for origin, listener in tuple(self._listeners):
            try:
                with redirect_stdout(sys.stderr):
                    listener(event=event, record=record)
            except Exception as error:  # noqa: BLE001 - a listener may raise anything
                trace(error)
                self._listeners.remove((origin, listener))
                self._on_trouble(f"listener {origin} failed and is not called again: {_words(error)}")


def load_listeners(catalog: Catalog, files: Iterable[str], *, on_trouble: Callable[[str], None]) -> Listeners:
    """Load the plugins that listen, and no others, into this process."""
    if not catalog.listeners:
        return Listeners([], on_trouble=on_trouble)
    with redirect_stdout(sys.stderr):
        registry = Registry.load(files, only=catalog.listeners)
    return Listeners(registry.listeners, on_trouble=on_trouble)


def _words(error: Exception) -> str:
    return error.in_one_line if isinstance(error, BenchError) else explain(error)
