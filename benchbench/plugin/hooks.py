"""The complete list of hooks.

A plugin module marks functions of these names with ``@benchbench.hookimpl``. They may leave out arguments that are
shown here, but take no others. Hooks are checked when the module is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from benchbench.plugin.augmentation import Augmentation
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.loss import Loss
    from benchbench.plugin.model import Model
    from benchbench.plugin.optimizer import Optimizer
    from benchbench.plugin.scheduler import Scheduler
    from benchbench.records.events import Event
    from benchbench.records.record import Record

PROJECT = "benchbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def benchbench_datasets() -> list[type[Dataset]]:  # type: ignore[empty-body]
    """Return dataset classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_augmentations() -> list[type[Augmentation]]:  # type: ignore[empty-body]
    """Return augmentation classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_models() -> list[type[Model]]:  # type: ignore[empty-body]
    """Return model classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_losses() -> list[type[Loss]]:  # type: ignore[empty-body]
    """Return loss classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_optimizers() -> list[type[Optimizer]]:  # type: ignore[empty-body]
    """Return optimizer classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_schedulers() -> list[type[Scheduler]]:  # type: ignore[empty-body]
    """Return scheduler classes. Called once, when plugins are loaded."""


@hookspec
def benchbench_event(event: Event, record: Record) -> None:
    """Receive an event of a trial, after it is written to the journal. Called in the driver process.

    ``record`` describes the trial so far, this event included. If an exception is raised here, it is reported once
    and the listener is not called again; the trial goes on.
    """


@hookspec
def benchbench_commands(app: typer.Typer) -> None:
    """Add commands to ``bench``. Called if no command is given, or one that is not built in.

    Import heavy modules inside the commands.
    """
