"""The application, and the Python API: the commands of ``bench`` as functions.

They take plain values, return values, and print nothing. Notes for the user are sentences, written where
they arise and sent to a watcher; the command line prints them.

::

    run.py                   runs one trial, which is a grid of one
    grid.py                  runs all trials of a file that are not done yet
    time.py                  times variants in interleaved rounds
    compare.py               compares the trials of an experiment
    report.py                writes an experiment as an HTML file
    predict.py               predicts the classes of image files with the model of a run
    runs.py                  the trials that were run from this folder, and their state
    transfer.py              exports results into one file, and imports them
    datasets.py              a dataset with its parameters and images, as a command opens it
    dataset_sheet.py         draws images of a dataset, for bench data show
    augmentation_preview.py  has a few images augmented in a process of their own, for bench data show
    doctor.py                what this machine has, and which parts of it do not work
    new_plugin.py            creates a new plugin, as a package or a file
    templates/               the texts of new plugins
    plugin_check.py          checks plugins in a process of their own

    settings.py              where and how trials run: what is not part of a spec
    output_files.py          files that a caller names with -o
    watcher.py               the interface that receives progress, such as for the terminal
    listeners.py             plugins that receive every event

    trials.py                trials from drafts to results: open, resolve, plan, train, deliver
    services.py              opens the executor and the tracker of a call
    resolving.py             turns drafts into specs: looks up plugins and images
    leftovers.py             finishes what earlier, killed calls left unfinished
    plan.py                  which trials are done, which resume, and which start anew
    more_epochs.py           where a trial goes on after a finished one with fewer epochs
    next_trials.py           batches of trials: all of a grid at once, or what the next look of an adaptive design needs
    event_loop.py            hands every event to the journal, then to tracker, watcher and listeners
    interrupts.py            what Ctrl-C, SIGTERM and SIGHUP do while trials run, and what is said then
    provenance.py            writes record.json, spec.toml and environment.json of a trial that has ended
    artifact_policy.py       which files are kept of trials, and of the best of a grid
    end_of_call.py           waits for MLflow at the end of a call, and cleans up

    grid_state.py            a grid file's lock, and the trials that it had at its last call
    grid_result.py           what a grid returns: its trials and how they ended
    grid_description.py      what MLflow shows for a grid: the records of its trials and their comparison
    grid_records.py          the trials that a grid file asks for, and their records
    study.py                 the question of a comparison, from a file and its caller, and its trials
    repeated_looks.py        makes comparisons stricter at each look with more seeds
    variants.py              the variants that are timed, and their names
"""
