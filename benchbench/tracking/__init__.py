"""Journals in, MLflow runs out. The only package that talks to MLflow, which it imports on first use.

::

    address.py         where the store is, and whether it can be used
    server_probe.py    asks a server whether it answers
    client.py          imports MLflow: without telemetry, log lines and long retries
    experiments.py     finds, makes and checks experiments, also those that were renamed
    moved_folder.py    a database that was moved or copied with the files of its runs
    store.py           the store, and the run that a journal belongs to
    delivery.py        sends a journal's events and files to its run
    tracker_thread.py  sends journals while training goes on
    run_data.py        params, tags and descriptions of the runs of trials
    logged_models.py   the trained model as an MLflow logged model
    grid_runs.py       the run of a grid, and which of its trials are done
    look_history.py    how often a comparison was looked at
    timing_runs.py     the runs of bench time
    exporting.py       writes runs into a results file
    importing.py       reads runs of a results file into the store
    reading.py         opens a store that is only read
    stored_records.py  reads the records of an experiment
    run_models.py      finds the models of runs, and fetches them
    run_files.py       fetches files of runs, and adds some
"""

from benchbench.tracking.address import how_to_open
from benchbench.tracking.store import Store, is_delivered
from benchbench.tracking.tracker_thread import TrackerThread

__all__ = ["Store", "TrackerThread", "how_to_open", "is_delivered"]
