"""The command line ``bench``: parse, call, print.

::

    main.py            puts the commands together, and catches every error
    options.py         options that several commands share
    tables.py          tables on standard output
    run.py             bench run
    single.py          one trial, from its options to its exit code
    display.py         what you see while a trial runs
    grid.py            bench grid
    many.py            a grid, from its file to its exit code
    grid_display.py    what you see while a grid runs
    time.py            bench time
    variants.py        the variants that bench time compares
    timed.py           a timing, from its variants to its exit code
    timed_display.py   what you see while variants are timed
    timed_tables.py    timings as tables
    compare.py         bench compare
    question.py        what compare and report are asked, and the trials they read
    compare_tables.py  comparisons as tables, LaTeX, CSV and JSON
    report.py          bench report
    reporting.py       writes a report, for bench report and bench grid
    data.py            bench data
    downloads.py       the progress bar of a download
    plugins.py         bench list, bench show, and shell completion of names
    runs.py            bench runs
    doctor.py          bench doctor
"""
