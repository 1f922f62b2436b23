"""What the driver and its workers say to each other: plain data.

::

    jobs.py           what a worker is asked to carry out
    timing.py         what it reports of a timing
    messages.py       all messages, and how they are written and read
    channel.py        the sockets that carry them between processes of one machine
    heartbeat.py      progress and the request to stop, in shared memory
    plugin_checks.py  what is asked and said when plugins are checked
    predictions.py    what a process that predicts is asked, and answers
    augmenting.py     what is asked when images are augmented to be shown
"""
