"""The application: plan trials, start them, keep what they say, and tell whoever watches.

::

    session.py     one worker, one store, one display, and the trials that pass through
    event_loop.py  every event goes to the journal, then to tracker, display and listeners
    plan.py        which trials are done, which resume, and which start anew
    grid_state.py  what is kept of a grid between two calls
    listeners.py   plugins that are told of every event
"""
