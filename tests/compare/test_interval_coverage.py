"""Intervals, verdicts and error rates over many made comparisons, of which it is known what is true."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from scipy import stats
from support.comparisons import HIGH, LOW, question, values
from support.made_records import CLASSES, configuration, made, per_class, spec

from benchbench.compare import Comparison, compare_records, verdicts
from benchbench.compare.contrasts import contrast
from benchbench.compare.formatting import difference
from benchbench.compare.intervals import prediction_interval
from benchbench.compare.verdicts import DIFFERENT

NUM_DRAWS = 2_000
TRUE_MEANS = 0.55, 0.60


def many_draws(n: int, *, is_paired: bool) -> Comparison:
    """Return the comparison of two configurations in 2,000 independent metrics with known means."""
    random = np.random.default_rng(n)
    draws = [random.normal(true, spread, (n, NUM_DRAWS)) for true, spread in zip(TRUE_MEANS, (0.01, 0.03), strict=True)]
    if is_paired:
        shared = random.normal(0, 0.05, (n, NUM_DRAWS))
        draws = [draw + shared for draw in draws]
    seeds = range(n), range(n) if is_paired else range(100, 100 + n)
    records = [
        per_class(lr, seed, row)
        for lr, draw, numbers in zip((LOW, HIGH), draws, seeds, strict=True)
        for seed, row in zip(numbers, draw, strict=True)
    ]
    metrics = [f"test_accuracy/{class_name.replace(' ', '_')}" for class_name in CLASSES]
    return compare_records(records, question(metrics=metrics))


@pytest.mark.slow
@pytest.mark.parametrize("is_paired", [True, False], ids=["paired", "Welch"])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_printed_intervals_cover_the_truth_as_often_as_they_say(n: int, *, is_paired: bool) -> None:
    comparison = many_draws(n, is_paired=is_paired)
    low, high = ([row.cells[metric.name] for metric in comparison.metrics] for row in comparison.rows)
    for cells, true in ((low, TRUE_MEANS[0]), (high, TRUE_MEANS[1])):
        covered = sum(true in cell.summary.interval for cell in cells if cell.summary.interval)
        assert 0.93 <= covered / NUM_DRAWS <= 0.97
    contrasts = [cell.contrast for cell in high if cell.contrast]
    assert all(found.is_paired == is_paired for found in contrasts)
    true = TRUE_MEANS[1] - TRUE_MEANS[0]
    assert 0.93 <= sum(true in found.interval for found in contrasts if found.interval) / NUM_DRAWS <= 0.97
    # What is printed is that interval.
    found = contrasts[0]
    assert found.interval is not None
    assert f"[{100 * found.interval.low:+.2f}, {100 * found.interval.high:+.2f}]" in difference(
        found, comparison.metrics[0]
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
def test_ratios_and_prediction_intervals_cover_the_truth_as_often_as_they_say(n: int) -> None:
    random = np.random.default_rng(n)
    ratios = predictions = 0
    for _ in range(NUM_DRAWS):
        ours, baseline = random.lognormal(0.5, 0.3, n), random.lognormal(0.2, 0.1, n)
        found = contrast(values(ours), values(baseline, 100), as_ratio=True, confidence=0.95)
        assert found.interval is not None
        ratios += math.exp(0.3) in found.interval
        predicted = prediction_interval(random.normal(0.5, 0.1, n), confidence=0.95)
        assert predicted is not None
        predictions += random.normal(0.5, 0.1) in predicted
    assert 0.93 <= ratios / NUM_DRAWS <= 0.97
    assert 0.93 <= predictions / NUM_DRAWS <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5])
def test_no_more_null_tables_than_promised_hold_a_false_verdict(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "advise", lambda *_, **__: None)  # takes a third of the time
    random = np.random.default_rng(n)
    asked = question(metrics=["test_accuracy", "train_seconds"])
    specs = [spec(seed, lr=lr) for lr in (0.1, 0.2, 0.3, 0.4) for seed in range(n)]
    patterns = [made(of) for of in specs]
    num_tables, num_false = 1_000, 0
    for _ in range(num_tables):
        shared = random.normal(0.7, 0.05, n)
        records = []
        for record in patterns:
            accuracy, seconds = shared[record.spec.seed] + random.normal(0, 0.02), random.lognormal(3, 0.2)
            assert record.final is not None
            assert record.times is not None
            final = replace(record.final, test_accuracy=accuracy, val_accuracy=accuracy)
            records.append(replace(record, final=final, times=replace(record.times, train=seconds)))
        comparison = compare_records(records, asked)
        assert comparison.num_comparisons == 6
        num_false += any(cell.verdict.kind in DIFFERENT for row in comparison.rows for cell in row.cells.values())
    # 5 %, and what 1,000 draws of 5 % may lie above it in 999 of 1,000 cases.
    assert num_false <= stats.binom.ppf(0.999, num_tables, 0.05)
    assert num_false > 0


@pytest.mark.slow
def test_a_verdict_never_says_more_than_its_interval() -> None:
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        means = random.choice([0.5, 0.52, 0.6], 4)
        rows = [configuration(lr, random.normal(true, 0.02, 4)) for lr, true in zip((1, 2, 3, 4), means, strict=True)]
        for row in compare_records(list(chain(*rows))).rows[1:]:
            found, verdict = row.cells["test_accuracy"].contrast, row.cells["test_accuracy"].verdict
            assert found is not None
            assert found.interval is not None
            seen.add(verdict.kind)
            if verdict.kind in ("better", "worse"):
                assert 0.0 not in found.interval
                assert (verdict.kind == "better") == (found.interval.low > 0)
            elif verdict.kind == "not distinguishable":
                assert 0.0 in found.interval
            else:
                assert verdict.kind == "not distinguishable after correction"
                assert 0.0 not in found.interval
    assert len(seen) == 4
