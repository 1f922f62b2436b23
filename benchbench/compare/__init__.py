"""Records to differences, confidence intervals and verdicts. Pure: it reads and prints nothing.

::

    comparison.py      compare_records: the whole comparison
    configurations.py  trials grouped into rows
    metrics.py         the numbers of a trial, their units, and targets
    statistics.py      Student's t, Holm's correction, power
    verdicts.py        what a difference says, in words
    warnings.py        what else differs between the trials
    words.py           numbers as text
    tables.py          comparisons as text, Markdown, LaTeX and CSV
    answer.py          the answer in one or two sentences
    published.py       our trials against published numbers
    timings.py         timings against a baseline
    models.py          two trained models on the same images: McNemar's test
    frame.py           records as a pandas table
"""

from benchbench.compare.comparison import Cell, Comparison, Row, compare_records
from benchbench.compare.models import ModelComparison, compare_models
from benchbench.compare.published import PublishedRow, against_published

__all__ = [
    "Cell",
    "Comparison",
    "ModelComparison",
    "PublishedRow",
    "Row",
    "against_published",
    "compare_models",
    "compare_records",
]
