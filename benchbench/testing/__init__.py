"""Checks of plugins, for their authors.

::

    checking.py        runs checks one by one, and reports all that fail
    parameters.py      checks of the parameters of any plugin
    dataset.py         checks of a dataset
    augmentation.py    checks of an augmentation
    model.py           checks of a model
    loss.py            checks of a loss
    optimizer.py       checks of an optimizer
    scheduler.py       checks of a scheduler
    generators.py      checks that a plugin leaves the seeds of random generators alone
    saved.py           saves, restores and compares states, as a checkpoint does
    checks_by_kind.py  which checks each kind of plugin has
    import_effects.py  checks of what a plugin's module does when it is imported
    rebuilding.py      builds a plugin again in another process, to check that it is the same
    main.py            the process of bench plugin check
    pytest_plugin.py   the fixture check_plugin

Names are imported when they are first used: pytest loads its plugins at every start, and torch takes seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchbench.testing.augmentation import check_augmentation
    from benchbench.testing.dataset import check_dataset
    from benchbench.testing.loss import check_loss
    from benchbench.testing.model import check_model
    from benchbench.testing.optimizer import check_optimizer
    from benchbench.testing.scheduler import check_scheduler

__all__ = ["check_augmentation", "check_dataset", "check_loss", "check_model", "check_optimizer", "check_scheduler"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{name.removeprefix('check_')}"), name)
