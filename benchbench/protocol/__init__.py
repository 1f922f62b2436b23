"""What the driver and its workers say to each other: plain data.

::

    jobs.py                   what a worker is asked to carry out
    messages.py               what the driver asks, what a worker answers, and how both are written and read
    timing_messages.py        what a worker reports while it times variants
    channel.py                the sockets between a driver and its worker
    shared_counter.py         counts batches, and carries the request to stop, in shared memory

    plugin_check_messages.py  what the process that checks plugins is asked, and answers
    prediction_messages.py    what the process that predicts is asked, and answers
    preview_messages.py       what the process that augments images for bench data show is asked
"""
