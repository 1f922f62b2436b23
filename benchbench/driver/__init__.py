"""The application, and the Python API: ``run``, ``grid``, ``time``, ``compare`` and ``report``.

They take plain values, return values, print nothing, and tell a watcher what goes on. The command line calls them.

::

    run.py           one trial, which is a grid of one
    grid.py          all trials of a file that are not done yet
    time.py          variants in interleaved rounds
    compare.py       an experiment, compared
    report.py        an experiment, as an HTML file
    transfer.py      results in one file, taken elsewhere and read in again
    predict.py       what the model of a run says of image files
    settings.py      where and how trials run: what decides no result
    watcher.py       who looks on, such as the terminal
    trials.py        trials from drafts to results: open, resolve, plan, train, deliver
    opening.py       the executor and the tracker of a call
    resolving.py     from drafts to specs; plugins and images are looked up
    plan.py          which trials are done, which resume, and which start anew
    batches.py       which trials of a grid are trained next
    continuing.py    where a longer trial goes on after a shorter one
    settling.py      what earlier calls left open
    event_loop.py    every event goes to the journal, then to tracker, watcher and listeners
    interrupts.py    Ctrl-C, SIGTERM and SIGHUP while trials run
    listeners.py     plugins that are told of every event
    completion.py    what is kept of trials, and of the best of a grid
    delivery.py      the wait for MLflow at the end of a call
    result.py        what a grid came to
    grid_lock.py     a grid file's lock, and the trials that it had at its last call
    variants.py      the variants that are timed, and their names
    judging.py       a comparison at the level that is left for it
    question.py      what a comparison is asked, and the trials that are meant
    plugin_check.py  plugins checked in a process of their own
    augmenting.py    a few images augmented in a process of their own
    new_plugin.py    a new plugin, as a package or a file
    templates/       the texts of new plugins
"""
