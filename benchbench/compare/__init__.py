"""Records to differences with intervals and verdicts: pure, nothing is read and nothing printed.

::

    statistics.py       Student's t, Holm, how many seeds it takes
    metrics.py          the numbers of a trial, their units, targets to reach
    configurations.py   trials into rows
    verdicts.py         what a difference says, in words
    warnings.py         what else differs between the trials
    comparison.py       all of it together: compare_records
    published.py        ours against published numbers
    timings.py          times of variants that took turns
    models.py           two trained models on the same images
    frame.py            records as a pandas table
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
