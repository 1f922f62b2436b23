"""Records to tables, charts, figures and one HTML file.

::

    page.py             puts the report together as one HTML file
    template/           the report's HTML, CSS and JavaScript
    subject.py          what a report is about: its trials, configurations and their names
    trial_files.py      the trials of a report, with the files that their runs keep
    kept_files.py       reads the tables and the test images that runs keep
    report_tables.py    the tables of the report
    class_accuracy.py   accuracy per class, with intervals
    facts.py            what differs between trials, and the command that repeats one
    drawing.py          matplotlib in our style, as PNG and SVG
    chart_style.py      what all charts share: colors, dashes, markers
    interval_chart.py   each configuration against the baseline, as a chart
    curves.py           charts over epochs
    class_charts.py     charts by class: accuracies, and the confusion matrix
    phase_chart.py      where the time went, as a chart
    embedded_images.py  images inside the HTML file
    contact_sheet.py    some images of each split, as the network sees them
    run_figures.py      the figures of a single run
    grid_page.py        what MLflow shows for a grid
    timing_data.py      what bench time measured, as JSON, and warnings about it
"""
