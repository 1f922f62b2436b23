"""Records to differences, confidence intervals and verdicts. Pure: it reads and prints nothing.

::

    comparison.py      compare_records: the whole comparison
    configurations.py  trials grouped into rows
    metrics.py         the numbers of a trial, their units, and targets
    cells.py           one metric of one row, against the baseline
    contrasts.py       the test that decides: pairs of seeds or Welch's
    learning.py        how many seeds learned
    intervals.py       of means and fractions, within what is possible
    corrections.py     Holm's and Bonferroni's, for many comparisons
    power.py           how many seeds would show a difference
    verdicts.py        what a difference says, in words
    looks.py           one level for several looks
    adaptive.py        comparisons whose number of seeds depends on the results
    designs.py         the comparison that a design asks for
    warnings.py        what else differs between the trials
    words.py           numbers as text
    tables.py          comparisons as text, Markdown, LaTeX and CSV
    answer.py          the answer in one or two sentences
    published.py       our trials against published numbers
    timings.py         timings against a baseline
    population.py      accuracies on images like the test images
    datasets.py        configurations on several datasets
    ranks.py           average ranks over datasets
    profiles.py        performance profiles over targets
    aggregates.py      interquartile means, probability of improvement
    dataset_tables.py  comparisons on several datasets as text
    models.py          two trained models on the same images: McNemar's test
    frame.py           records as a pandas table
"""

from benchbench.compare.cells import Cell
from benchbench.compare.comparison import Comparison, Row, compare_records
from benchbench.compare.datasets import DatasetComparison, compare_datasets
from benchbench.compare.models import ModelComparison, compare_models
from benchbench.compare.population import PopulationRow, compare_populations
from benchbench.compare.published import PublishedRow, against_published

__all__ = [
    "Cell",
    "Comparison",
    "DatasetComparison",
    "ModelComparison",
    "PopulationRow",
    "PublishedRow",
    "Row",
    "against_published",
    "compare_datasets",
    "compare_models",
    "compare_populations",
    "compare_records",
]
