"""What trials leave, as plain data, and the names of metrics and files.

::

    events.py       what a trial says while it runs
    record.py       a trial's events folded together
    journal.py      events on disk
    machine.py      device, threads, hardware and versions
    finished.py     what is known of trials that finished before
    predictions.py  what a model said of each test image
    metrics.py      names of metrics
    files.py        names of files
    adapter.py      values to JSON and back
"""
