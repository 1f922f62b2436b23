"""What is made of records: the files of a run, its figures, and the report on many.

::

    provenance.py   the files that say how a trial was made
    figures.py      the figures of one run
    material.py     trials with the files that their runs keep; gather.py fetches them
    subject.py      what a report is about
    sections.py     its tables; labels.py has the intervals by label, facts.py what differs between trials
    charts.py       what its charts have in common; curves.py and bars.py draw them
    images.py     images inside a page
    page.py         all of it as one HTML file, with the template beside it
"""

from benchbench.report.provenance import describe

__all__ = ["describe"]
