"""The test behind each verdict: pairs of seeds, Welch's, equivalence, corrections and permutations."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from support.comparisons import HIGH, LOW, only_cell, question, values
from support.made_records import configuration, ended, made, spec

from benchbench.compare import compare_records
from benchbench.compare.contrasts import contrast, equivalence_p, permutation_p
from benchbench.compare.corrections import holm
from benchbench.compare.formatting import test as words_of_test
from benchbench.compare.intervals import summarize


def test_contrasts_are_those_of_scipy() -> None:
    random = np.random.default_rng(1)
    a, b, c = random.normal(0.5, 0.1, 6), random.normal(0.6, 0.2, 6), random.normal(0.6, 0.2, 4)
    paired = contrast(values(a), values(b), as_ratio=False, confidence=0.9)
    welch = contrast(values(a), values(c, 100), as_ratio=False, confidence=0.9)
    for found, theirs in ((paired, stats.ttest_rel(a, b)), (welch, stats.ttest_ind(a, c, equal_var=False))):
        interval = theirs.confidence_interval(0.9)
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high))
        assert found.p_value == pytest.approx(theirs.pvalue)
    summary, interval = summarize(a, confidence=0.9), stats.ttest_1samp(a, 0).confidence_interval(0.9)
    assert summary.interval is not None
    assert (summary.interval.low, summary.interval.high) == pytest.approx((interval.low, interval.high))


def test_corrections_are_those_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.2, 0.02, 0.02]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([]) == []


def test_pairing_by_seed_sees_what_welch_does_not() -> None:
    luck = [0.50, 0.58, 0.66, 0.61]
    better = [accuracy + gain for accuracy, gain in zip(luck, (0.010, 0.012, 0.011, 0.009), strict=True)]
    paired = only_cell(compare_records(configuration(LOW, luck) + configuration(HIGH, better)))
    apart = only_cell(compare_records(configuration(LOW, luck) + configuration(HIGH, better, first_seed=50)))
    assert paired.contrast is not None
    assert apart.contrast is not None
    assert (paired.contrast.is_paired, apart.contrast.is_paired) == (True, False)
    assert paired.contrast.estimate == pytest.approx(apart.contrast.estimate)
    assert (paired.verdict.kind, apart.verdict.kind) == ("better", "not distinguishable")


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    slow, fast = values([20.0, 22.0, 19.0]), values([10.0, 10.5, 9.0])
    one, other = (contrast(*pair, as_ratio=True, confidence=0.95) for pair in ((slow, fast), (fast, slow)))
    assert one.interval is not None
    assert other.interval is not None
    assert one.estimate == pytest.approx(1 / other.estimate)
    assert one.interval.low == pytest.approx(1 / other.interval.high)
    assert one.p_value == pytest.approx(other.p_value)


def test_times_are_compared_by_ratio_and_longer_is_worse() -> None:
    records = [made(spec(seed, lr=LOW), seconds=10 + seed / 10) for seed in range(3)]
    records += [made(spec(seed, lr=HIGH), seconds=20.5 + seed / 10) for seed in range(3)]
    cell = only_cell(compare_records(records, question(metrics=["time/train_seconds"])), "train_seconds")
    assert cell.contrast is not None
    assert cell.contrast.is_ratio
    assert cell.contrast.estimate == pytest.approx(2.03, abs=0.02)
    assert cell.verdict.kind == "worse"


def test_values_without_spread_are_not_tested() -> None:
    same = compare_records(configuration(LOW, [0.5, 0.5, 0.5]) + configuration(HIGH, [0.5, 0.5, 0.5]))
    assert only_cell(same).verdict.kind == "equal"
    assert only_cell(same).summary.interval is None
    # 0.75 - 0.73 and 0.76 - 0.74 differ in the last digit.
    shifted = compare_records(configuration(LOW, [0.73, 0.74, 0.75]) + configuration(HIGH, [0.75, 0.76, 0.77]))
    contrast = only_cell(shifted).contrast
    assert only_cell(shifted).verdict.kind == "not compared"
    assert "the same for every seed" in only_cell(shifted).verdict.words
    assert contrast is not None
    assert (contrast.interval, contrast.p_value, contrast.standard_error, contrast.deviations) == (None,) * 4
    one_varies = configuration(LOW, [0.5, 0.5, 0.5]) + configuration(HIGH, [0.6, 0.62, 0.61], first_seed=50)
    assert only_cell(compare_records(one_varies)).verdict.kind == "better"


def test_one_failed_seed_leaves_the_pairs_of_the_others() -> None:
    luck = [0.50, 0.58, 0.66, 0.61, 0.55]
    gains = (0.010, 0.012, 0.011, 0.009, 0.010)
    records = configuration(LOW, luck)
    records += [made(spec(seed, lr=HIGH), luck[seed] + gains[seed]) for seed in (0, 1, 3, 4)]
    comparison = compare_records([*records, ended(spec(2, lr=HIGH), "failed")])
    cell = only_cell(comparison)
    assert cell.contrast is not None
    assert (cell.contrast.test, cell.contrast.n, cell.contrast.left_out) == ("paired t", (4, 4), ("seed=2",))
    assert cell.contrast.correlation == pytest.approx(1.0, abs=0.001)
    assert cell.verdict.kind == "better"
    assert words_of_test(cell.contrast) == "paired t, r = 1.00, without seed=2"


def test_trials_of_one_seed_are_pairs_on_the_same_images_alone() -> None:
    luck, gains = [0.50, 0.58, 0.66], (0.010, 0.012, 0.011)
    old = [replace(record, data_digest="e" * 64) for record in configuration(LOW, [0.45, 0.48, 0.46])]
    low, high = configuration(LOW, luck), [made(spec(seed, lr=HIGH), luck[seed] + gains[seed]) for seed in range(3)]
    asked = question(baseline={"optimizer.lr": LOW})
    for order in permutations((old, low, high)):
        cell = only_cell(compare_records([record for part in order for record in part], asked))
        assert cell.contrast is not None
        assert (cell.contrast.test, cell.contrast.n) == ("paired t", (3, 3))
        assert cell.contrast.estimate == pytest.approx(0.011)
        assert cell.contrast.left_out == tuple(f"seed={seed} images eeeeeeee" for seed in range(3))


def test_trials_on_other_images_are_no_pairs() -> None:
    other = [replace(record, data_digest="e" * 64) for record in configuration(HIGH, [0.51, 0.59, 0.67])]
    cell = only_cell(compare_records(configuration(LOW, [0.50, 0.58, 0.66]) + other))
    assert cell.contrast is not None
    assert cell.contrast.test == "Welch's t"


@pytest.mark.parametrize(
    ("ours", "baseline", "pairs"),
    [(range(5), range(5), 5), (range(4), range(5), 4), (range(3), range(10), 0), (range(2), range(1, 4), 0)],
)
def test_seeds_are_paired_if_enough_are_shared(ours: range, baseline: range, pairs: int) -> None:
    random = np.random.default_rng(0)
    one, other = ({str(seed): float(random.normal()) for seed in seeds} for seeds in (ours, baseline))
    found = contrast(one, other, as_ratio=False, confidence=0.95)
    assert found.is_paired == bool(pairs)
    assert found.n == ((pairs, pairs) if pairs else (len(ours), len(baseline)))


def test_equivalence_is_claimed_only_within_the_margin() -> None:
    base = [0.60, 0.61, 0.62, 0.61]
    other = [0.601, 0.6103, 0.6197, 0.6105]
    records = configuration(LOW, base) + configuration(HIGH, other)
    assert only_cell(compare_records(records)).verdict.kind == "not distinguishable"
    verdict = only_cell(compare_records(records, question(margin=0.5))).verdict
    assert verdict.kind == "equivalent"
    assert verdict.words.startswith("the same within 0.5 points (p")
    assert only_cell(compare_records(records, question(margin=0.05))).verdict.kind == "not distinguishable"


def test_equivalence_is_tested_as_statsmodels_does() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(0.5, 0.01, 8), random.normal(0.502, 0.01, 8)
    found = contrast(values(a), values(b), as_ratio=False, confidence=0.95)
    assert equivalence_p(found, 0.01) == pytest.approx(ttost_paired(a, b, -0.01, 0.01)[0])


def test_what_only_a_correction_takes_back_is_called_so() -> None:
    base, gains = [0.50, 0.53, 0.56], (0.020, 0.030, 0.021)
    gained = [accuracy + gain for accuracy, gain in zip(base, gains, strict=True)]
    assert only_cell(compare_records(configuration(1, base) + configuration(6, gained))).verdict.kind == "better"
    random, records = np.random.default_rng(3), configuration(1, base)
    for lr in (2, 3, 4, 5):
        records += configuration(lr, random.normal(0.53, 0.03, 3))
    verdict = compare_records(records + configuration(6, gained)).rows[-1].cells["test_accuracy"].verdict
    assert verdict.kind == "not distinguishable after correction"
    assert verdict.words == "not distinguishable after correction (p = 0.018 alone, p = 0.088 as one of 5)"


def test_a_permutation_test_is_made_only_where_it_could_tell() -> None:
    few = values([0.5, 0.6, 0.7]), values([0.8, 0.9, 0.91])
    assert permutation_p(*few, as_ratio=False, level=0.05) is None
    many = values(np.arange(8.0)), values(np.arange(8.0) + 1 + 0.1 * np.arange(8.0))
    assert permutation_p(*many, as_ratio=False, level=0.05) == pytest.approx(2 / 2**8)
    apart = values([1.0, 2, 3, 4]), values([5.0, 6, 7, 8], 50)
    assert permutation_p(*apart, as_ratio=True, level=0.05) == pytest.approx(2 / math.comb(8, 4))
    assert permutation_p(*apart, as_ratio=True, level=0.01) is None


def test_a_permutation_test_is_a_note_beside_the_verdict() -> None:
    gains = [0.010, 0.010, 0.011, 0.010, 0.010, 0.010, 0.009, -0.0001]
    base = [0.5, 0.52, 0.54, 0.51, 0.53, 0.5, 0.51, 0.52]
    gained = [value + gain for value, gain in zip(base, gains, strict=True)]
    cell = only_cell(compare_records(configuration(LOW, base) + configuration(HIGH, gained)))
    assert cell.contrast is not None
    assert cell.contrast.permutation_p == pytest.approx(4 / 2**8)
    assert cell.verdict.kind == "better"
    assert cell.verdict.corrected_p == cell.contrast.p_value
