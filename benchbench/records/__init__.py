"""What trials leave, as plain data, and the names of metrics and files.

::

    events.py        what a trial says while it runs
    record.py        a trial's events folded together
    machine.py       device, threads, hardware and versions
    processors.py    the processors that this process may use
    metrics.py       names of metrics
    file_names.py    names of files
    journal.py       the folder of a trial: its events on disk
    claim.py         which call runs a trial, and where its results go
    calls.py         which calls are alive: locks and heartbeats
    host.py          tells this host from others, before and after a restart
    recovery.py      trials whose process died
    results_file.py  runs in one archive, to be taken elsewhere
    private.py       what must not leave this machine in a text
    grid_end.py      how a grid ended, until MLflow knows
    tracked.py       what a tracker tells about runs
    state.py         the folder of our state, and its JSON files
    addresses.py     SQLite addresses to paths and back
    adapter.py       values to JSON and back
"""
