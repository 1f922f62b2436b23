"""Events and records of trials as plain data, the state on disk, and the names of metrics and files.

::

    events.py            what a trial reports while it runs
    noise.py             when the times of an epoch or a round count as noisy
    record.py            a trial's events combined into one value
    machine.py           device, threads, hardware and versions of a trial
    processors.py        the processors that this process may use
    metrics.py           the metrics that MLflow gets, their units, and which of their values are better
    file_names.py        names of the files that trials, grids and timings leave
    artifact_files.py    which files each level of --artifacts includes, and the columns of tables
    journal.py           the folder of a trial: its events on disk
    claim.py             which call runs a trial, and where its results go
    calls.py             which calls are alive: locks and signs of life
    host_identity.py     tells this host from others, before and after a restart
    recovery.py          marks trials whose process died
    results_file.py      runs in one archive, to be taken elsewhere
    zip_errors.py        the errors by which zipfile refuses an archive
    tracebacks.py        tracebacks of errors, if they are asked for
    cleaning.py          texts as they may travel to other people
    redaction.py         finds credentials and paths in texts that are about to leave this machine
    grid_end.py          how a grid ended, until MLflow knows
    known_runs.py        what a tracker knows about finished runs and their predictions
    state.py             the folder .bench, and its JSON files
    run_ids.py           ids as people see and type them
    sqlite_addresses.py  addresses of SQLite databases, and the paths in them
    json_adapter.py      reads and writes values of any type as JSON
"""
