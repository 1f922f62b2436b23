"""Records to differences, confidence intervals and verdicts. Pure: it reads and prints nothing.

::

    comparison.py              compare_records: the whole comparison
    groups.py                  trials that can be compared with each other
    images.py                  trials by dataset and by version of its images
    configurations.py          groups trials into configurations, one for each row of a comparison
    metric_values.py           the numbers of a trial that can be compared, their units, and targets
    cells.py                   one metric of one configuration, beside the baseline
    contrasts.py               the test that decides: pairs of seeds, or Welch's
    intervals.py               the mean, deviation and confidence interval of values, or of a fraction
    corrections.py             Holm's and Bonferroni's corrections for many comparisons
    verdicts.py                what a difference says, in words
    guessing.py                whether a trial is better than guessing
    learning.py                how many seeds of a configuration learned anything
    power.py                   how many seeds would show a difference
    caveats.py                 what else differs between the trials of a comparison

    adaptive.py                comparisons whose number of seeds depends on the results
    designed_comparison.py     the comparison that a design asks for: adaptive, of fixed seeds or of all trials
    sequential_tests.py        tests at several looks that share one level

    published.py               our trials against published numbers
    population.py              what accuracy to expect on other images like the test images
    mcnemar.py                 two trained models on the same test images: McNemar's test
    timing_ratios.py           times of variants as ratios to a baseline, with intervals and verdicts

    across_datasets.py         configurations compared on several datasets
    ranks.py                   average ranks over several datasets
    profiles.py                performance profiles over several datasets
    aggregates.py              interquartile means over several datasets, and the probability of improvement
    across_datasets_tables.py  a comparison on several datasets as tables

    answer.py                  the answer of a comparison in one to three sentences
    comparison_tables.py       a comparison as tables, and its numbers as rows
    text_tables.py             tables of texts, written as Markdown, LaTeX or CSV
    interval_plot.py           each configuration against the baseline, drawn in text
    formatting.py              means, intervals and differences as text
    frame.py                   records as a pandas table
"""

from benchbench.compare.across_datasets import DatasetComparison, compare_datasets
from benchbench.compare.cells import Cell
from benchbench.compare.comparison import Comparison, Row, compare_records
from benchbench.compare.mcnemar import ModelComparison, compare_predictions
from benchbench.compare.population import PopulationComparison, PopulationRow, compare_populations
from benchbench.compare.published import PublishedRow, against_published

__all__ = [
    "Cell",
    "Comparison",
    "DatasetComparison",
    "ModelComparison",
    "PopulationComparison",
    "PopulationRow",
    "PublishedRow",
    "Row",
    "against_published",
    "compare_datasets",
    "compare_populations",
    "compare_predictions",
    "compare_records",
]
