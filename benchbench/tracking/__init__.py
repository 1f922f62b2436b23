"""Journals in, MLflow runs out: the only package that talks to MLflow, and it imports MLflow when first used.

::

    address.py   where the store is, and whether it can be used: found out before MLflow is imported
    content.py   what a trial's events are called in MLflow: plain data
    quiet.py     MLflow imported: without telemetry, silent, not patient for minutes
    store.py     the store, and the run that a journal belongs to
    delivery.py  a journal's events, files and end, sent to its run
    files.py     files of runs, fetched
    reports.py   what a report needs of the store, and the run that keeps it
    models.py    the trained model as an MLflow logged model
    thread.py    delivery beside the training
    timings.py   what `bench time` measured: a run for each variant, under one of their own
"""

from benchbench.tracking.address import how_to_open
from benchbench.tracking.store import Store, is_delivered
from benchbench.tracking.thread import TrackerThread

__all__ = ["Store", "TrackerThread", "how_to_open", "is_delivered"]
