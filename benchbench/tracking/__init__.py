"""Journals in, MLflow runs out. The only package that talks to MLflow, which it imports on first use.

::

    address.py   where the store is, and whether it can be used
    quiet.py     imports MLflow: without telemetry, log lines and long retries
    store.py     the store, and the run that a journal belongs to
    delivery.py  sends a journal's events and files to its run
    thread.py    sends journals while training goes on
    content.py   names of params, tags and metrics in MLflow
    models.py    the trained model as an MLflow logged model
    grids.py     the run of a grid, and which of its trials are done
    timings.py   the runs of bench time
    records.py   reads the records of an experiment
    files.py     fetches files of runs
    reports.py   what a report needs of the store
"""

from benchbench.tracking.address import how_to_open
from benchbench.tracking.store import Store, is_delivered
from benchbench.tracking.thread import TrackerThread

__all__ = ["Store", "TrackerThread", "how_to_open", "is_delivered"]
