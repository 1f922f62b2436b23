"""What the driver and its workers say to each other: plain data.

::

    jobs.py       what a worker is asked to do
    messages.py   what it answers
    heartbeat.py  progress and the request to stop, in a small shared file
    timing.py     what bench time asks, and what the worker answers
"""
