"""The command line ``bench``: parse, call :mod:`benchbench.driver`, print.

::

    main.py            puts the commands together, and catches every error
    options.py         options that several commands share, and their completion in the shell
    tables.py          tables and lines on standard output
    bars.py            bars below the lines of a terminal
    startup.py         streams, signals and warnings, as they are left to us
    progress.py        what you see while trials run or variants are timed
    run.py             bench run
    grid.py            bench grid
    time.py            bench time
    compare.py         bench compare
    report.py          bench report
    transfer.py        bench export and bench import
    predict.py         bench predict
    list.py            bench list
    show.py            bench show
    data.py            bench data
    opened_dataset.py  a dataset that a command looks at
    plugin.py          bench plugin
    runs.py            bench runs
    doctor.py          bench doctor
"""
