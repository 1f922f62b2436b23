"""The command line ``bench``: parse, call :mod:`benchbench.driver`, print.

::

    main.py            puts the commands together, and catches every error
    options.py         options that several commands share, and their completion in the shell
    help_words.py      the words for arguments and values in --help
    output.py          prints tables, lines, CSV and JSON
    trial_lines.py     lines that describe trials: headlines, epochs, plans and how they ended
    printed_answer.py  prints the answer of a comparison and its interval plot
    progress_bars.py   bars at the bottom of the terminal: what is being done, and how long it may take
    startup.py         sets up standard streams, SIGHUP, SIGTERM and warnings before a command runs
    displays.py        shows trials and timings while they run
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
    plugin.py          bench plugin
    runs.py            bench runs
    doctor.py          bench doctor
"""
