"""For authors of plugins: checks that a plugin keeps its promises.

::

    checks.py  check_dataset, check_model, check_optimizer, check_scheduler
"""

from benchbench.testing.checks import check_dataset, check_model, check_optimizer, check_scheduler

__all__ = ["check_dataset", "check_model", "check_optimizer", "check_scheduler"]
