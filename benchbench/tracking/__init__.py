"""Journals in, MLflow runs out. The only package that talks to MLflow, which it imports on first use.

::

    address.py      where the store is, and whether it can be used
    client.py       imports MLflow: without telemetry, log lines and long retries
    experiments.py  finds, makes and checks experiments, also those that were renamed
    moved.py        a database that was moved or copied with the files of its runs
    store.py        the store, and the run that a journal belongs to
    delivery.py     sends a journal's events and files to its run
    thread.py       sends journals while training goes on
    content.py      names of params and tags in MLflow
    models.py       the trained model as an MLflow logged model
    grids.py        the run of a grid, and which of its trials are done
    looks.py        how often a comparison was looked at
    timings.py      the runs of bench time
    exporting.py    runs, written into one file
    importing.py    runs of such a file, taken into the store
    reading.py      opens a store that is only read
    records.py      reads the records of an experiment
    run_models.py   the models of runs, found and fetched
    run_files.py    fetches and adds files of runs
"""

from benchbench.tracking.address import how_to_open
from benchbench.tracking.store import Store, is_delivered
from benchbench.tracking.thread import TrackerThread

__all__ = ["Store", "TrackerThread", "how_to_open", "is_delivered"]
