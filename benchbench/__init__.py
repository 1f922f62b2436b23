"""benchbench trains image classifiers and tells whether one is really better, and what that costs.

``import benchbench as bb`` gives plugin authors all they need; names are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchbench.compare.frame import to_frame
    from benchbench.errors import BenchError, DataError, ModelError, SpecError
    from benchbench.plugin.base import Dataset, DataSpec, Download, Model, Optimizer, Scheduler, Split, Splits, param
    from benchbench.plugin.hooks import hookimpl
    from benchbench.records.events import Event
    from benchbench.records.record import Record
    from benchbench.tracking.records import load_records

_HOMES = {
    "benchbench.compare.frame": ("to_frame",),
    "benchbench.errors": ("BenchError", "DataError", "ModelError", "SpecError"),
    "benchbench.plugin.hooks": ("hookimpl",),
    "benchbench.plugin.base": (
        "DataSpec",
        "Dataset",
        "Download",
        "Model",
        "Optimizer",
        "Scheduler",
        "Split",
        "Splits",
        "param",
    ),
    "benchbench.records.events": ("Event",),
    "benchbench.records.record": ("Record",),
    "benchbench.tracking.records": ("load_records",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BenchError",
    "DataError",
    "DataSpec",
    "Dataset",
    "Download",
    "Event",
    "Model",
    "ModelError",
    "Optimizer",
    "Record",
    "Scheduler",
    "SpecError",
    "Split",
    "Splits",
    "hookimpl",
    "load_records",
    "param",
    "to_frame",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
