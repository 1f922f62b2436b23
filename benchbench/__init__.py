"""benchbench trains image classifiers and tells whether one is really better, and what that costs.

``import benchbench as bb`` offers the commands of ``bench`` as functions, such as ``bb.run``, ``bb.grid`` and
``bb.compare``, and everything that a plugin needs. Names are imported when they are first used.

Its packages and modules, each of which imports only from those below it; ``testing/`` imports ``worker/`` too. The
shipped plugins are in a package of their own, ``plugins/``.

::

    cli/           the command line ``bench``: parses, calls the driver, prints
    driver/        the application, and the functions of the Python API
    report/        records to tables, charts, figures and one HTML file
    compare/       records to differences, confidence intervals and verdicts
    tracking/      everything that talks to MLflow
    executors/     where trials run: processes on this machine, or Ray
    worker/        everything that runs in a worker process
    protocol/      what driver and workers say to each other
    data/          datasets on disk
    plugin/        the plugin contract, and how plugins are found and loaded
    records/       events and records of trials, the state on disk, and the names of metrics and files
    config/        what the user asks for: specs, grid files and comparisons
    testing/       checks of plugins, for their authors
    errors.py      what can go wrong, and what to do about it
    paths.py       the cache folder, a home folder, and files that are replaced atomically
    processes.py   our modules in processes of their own
    background.py  threads that nobody waits for
    variables.py   the names of our environment variables
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchbench.compare.frame import to_frame
    from benchbench.driver.compare import compare
    from benchbench.driver.grid import grid
    from benchbench.driver.grid_result import GridResult
    from benchbench.driver.interrupts import Interrupted
    from benchbench.driver.predict import predict
    from benchbench.driver.report import report
    from benchbench.driver.run import run
    from benchbench.driver.time import TimingResult, time
    from benchbench.driver.transfer import export_results, import_results
    from benchbench.driver.watcher import Watcher
    from benchbench.errors import BenchError, DataError, ModelError, SpecError
    from benchbench.plugin.augmentation import Augment, Augmentation, ImageSpec
    from benchbench.plugin.base import param
    from benchbench.plugin.dataset import Dataset, Download, Downloads, Fit, LazyImages, Split, Splits
    from benchbench.plugin.hooks import hookimpl
    from benchbench.plugin.loss import Loss
    from benchbench.plugin.model import DataSpec, Model
    from benchbench.plugin.optimizer import Optimizer, trainable_parameters
    from benchbench.plugin.scheduler import Scheduler
    from benchbench.plugin.table_parameter import Options
    from benchbench.records.events import Event
    from benchbench.records.record import Record
    from benchbench.tracking.stored_records import load_records

_HOMES = {
    "benchbench.compare.frame": ("to_frame",),
    "benchbench.driver.compare": ("compare",),
    "benchbench.driver.grid": ("grid",),
    "benchbench.driver.interrupts": ("Interrupted",),
    "benchbench.driver.predict": ("predict",),
    "benchbench.driver.report": ("report",),
    "benchbench.driver.grid_result": ("GridResult",),
    "benchbench.driver.run": ("run",),
    "benchbench.driver.time": ("TimingResult", "time"),
    "benchbench.driver.transfer": ("export_results", "import_results"),
    "benchbench.driver.watcher": ("Watcher",),
    "benchbench.errors": ("BenchError", "DataError", "ModelError", "SpecError"),
    "benchbench.plugin.hooks": ("hookimpl",),
    "benchbench.plugin.augmentation": ("Augment", "Augmentation", "ImageSpec"),
    "benchbench.plugin.base": ("param",),
    "benchbench.plugin.dataset": ("Dataset", "Download", "Downloads", "Fit", "LazyImages", "Split", "Splits"),
    "benchbench.plugin.loss": ("Loss",),
    "benchbench.plugin.model": ("DataSpec", "Model"),
    "benchbench.plugin.optimizer": ("Optimizer", "trainable_parameters"),
    "benchbench.plugin.table_parameter": ("Options",),
    "benchbench.plugin.scheduler": ("Scheduler",),
    "benchbench.records.events": ("Event",),
    "benchbench.records.record": ("Record",),
    "benchbench.tracking.stored_records": ("load_records",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Augment",
    "Augmentation",
    "BenchError",
    "DataError",
    "DataSpec",
    "Dataset",
    "Download",
    "Downloads",
    "Event",
    "Fit",
    "GridResult",
    "ImageSpec",
    "Interrupted",
    "LazyImages",
    "Loss",
    "Model",
    "ModelError",
    "Optimizer",
    "Options",
    "Record",
    "Scheduler",
    "SpecError",
    "Split",
    "Splits",
    "TimingResult",
    "Watcher",
    "compare",
    "export_results",
    "grid",
    "hookimpl",
    "import_results",
    "load_records",
    "param",
    "predict",
    "report",
    "run",
    "time",
    "to_frame",
    "trainable_parameters",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _function(name: str) -> property:
    """Return a property that resolves a name to its function, although a package has the same name.

    Importing such a package sets it as an attribute here, which the property ignores. An import from the
    package, such as ``from benchbench.compare import``, still finds it.
    """
    return property(lambda _: __getattr__(name), lambda _, package: None)  # noqa: ARG005 - the signature of a setter


class _Module(ModuleType):
    compare = _function("compare")
    report = _function("report")


sys.modules[__name__].__class__ = _Module
