"""Records to tables, charts, figures and one HTML file.

::

    page.py           the report as one HTML file
    template/         the report's HTML, CSS and JavaScript
    subject.py        what a report is about
    trial_files.py    the trials with the files that their runs keep
    tables.py         the tables of the report
    classes.py        accuracy per class, with intervals
    facts.py          what differs between trials, and the command that repeats one
    drawing.py        matplotlib in our style, as PNG and SVG
    charts.py         what all charts share
    curves.py         charts over epochs
    bars.py           bar charts and the confusion matrix
    images.py         images inside the page
    contact_sheet.py  some images of each split, as the network sees them
    figures.py        the figures of a single run
    provenance.py     the files that say how a trial was made
    grid_page.py      what MLflow shows of a grid
    timings.py        timings as JSON
"""

from benchbench.report.provenance import describe

__all__ = ["describe"]
