"""Comparisons of made records, of which it is known what is true."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired
from support.made_records import CLASSES, configuration, ended, made, per_class, spec

from benchbench.compare import Comparison, against_published, compare_models, compare_records
from benchbench.compare.answer import answer
from benchbench.compare.comparison_tables import of_comparison
from benchbench.compare.contrasts import contrast, equivalence_p, permutation_p
from benchbench.compare.corrections import holm
from benchbench.compare.intervals import prediction_interval, summarise
from benchbench.compare.metric_values import Target
from benchbench.compare.power import power, seeds_needed
from benchbench.compare.verdicts import DIFFERENT
from benchbench.compare.warnings import on_late_baseline
from benchbench.compare.words import difference, mean, value
from benchbench.compare.words import test as words_of_test
from benchbench.config.compare_section import Compare, Expected, read_comparison
from benchbench.errors import SpecError
from benchbench.records.known_runs import Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare import Cell, PublishedRow

NUM_DRAWS = 2_000
LOW, HIGH = 0.001, 0.005
TRUE_MEANS = 0.55, 0.60


def question(**changes: Any) -> Compare:
    return read_comparison({"compare": changes})[0]


def only_cell(comparison: Comparison, metric: str = "test_accuracy") -> Cell:
    """Return the cell of the one row that is not the baseline."""
    (row,) = (row for row in comparison.rows if not row.is_baseline)
    return row.cells[metric]


def values(numbers: Sequence[float], first: int = 0) -> dict[str, float]:
    return {str(place): float(number) for place, number in enumerate(numbers, start=first)}


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
def test_no_more_null_tables_than_promised_hold_a_false_verdict(n: int) -> None:
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
    summary, interval = summarise(a, confidence=0.9), stats.ttest_1samp(a, 0).confidence_interval(0.9)
    assert summary.interval is not None
    assert (summary.interval.low, summary.interval.high) == pytest.approx((interval.low, interval.high))


def test_corrections_are_those_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.2, 0.02, 0.02]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([]) == []


@pytest.mark.parametrize("effect", [0.4, 0.8, 1.5])
def test_seeds_needed_are_those_of_statsmodels(effect: float) -> None:
    paired = math.ceil(TTestPower().solve_power(effect, None, 0.05, 0.8))
    assert seeds_needed(effect, [1.0], level=0.05) == paired
    two = math.ceil(TTestIndPower().solve_power(effect, None, 0.05, 0.8))
    assert seeds_needed(effect, [1.0, 1.0], level=0.05) == two


@pytest.mark.parametrize("deviations", [(1.0,), (1.0, 1.0), (0.6, 1.2)], ids=["paired", "Welch", "unequal"])
@pytest.mark.parametrize("effect", [0.4, 0.6])
def test_the_advised_number_of_seeds_has_the_power_that_is_promised(
    effect: float, deviations: tuple[float, ...]
) -> None:
    needed = seeds_needed(effect, deviations, level=0.05)
    assert needed is not None
    random, num_tables = np.random.default_rng(needed), 20_000
    ours = random.normal(effect, deviations[0], (num_tables, needed))
    if len(deviations) == 1:
        p_values = stats.ttest_1samp(ours, 0, axis=1).pvalue
    else:
        p_values = stats.ttest_ind(ours, random.normal(0, deviations[1], ours.shape), axis=1, equal_var=False).pvalue
    assert 0.78 <= np.mean(p_values < 0.05) <= 0.82


def test_power_is_certain_for_what_no_noise_hides() -> None:
    assert power(np.array([3, 10, 100]), 1e6, [1e-3], level=1e-6) == pytest.approx([1, 1, 1])


def test_a_difference_too_small_for_a_hundred_seeds_is_said_to_be() -> None:
    found = compare_records(configuration(LOW, [0.5, 0.6, 0.7]) + configuration(HIGH, [0.6, 0.7, 0.501]))
    assert only_cell(found).verdict.words == (
        "not distinguishable with n = 3; over 100 seeds would show a difference of this size"
    )


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


def test_one_trial_gives_no_interval_and_says_so() -> None:
    comparison = compare_records(configuration(LOW, [0.5]) + configuration(HIGH, [0.6]))
    cell = only_cell(comparison)
    assert cell.summary.interval is None
    assert cell.contrast is not None
    assert cell.contrast.interval is None
    assert mean(cell.summary, comparison.metrics[0]) == "60.0 (n=1)"
    assert cell.verdict.kind == "not compared"
    assert "n = 1" in cell.verdict.words
    assert comparison.num_comparisons == 0


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


def test_two_seeds_are_too_few_for_a_verdict_but_have_an_interval() -> None:
    comparison = compare_records(configuration(LOW, [0.50, 0.51]) + configuration(HIGH, [0.9001, 0.9102]))
    cell = only_cell(comparison)
    assert cell.verdict.words == "not compared: too few seeds: n = 2, and a verdict takes 3"
    assert cell.contrast is not None
    assert cell.contrast.interval is not None
    assert comparison.num_comparisons == 0


def test_a_small_difference_says_how_many_seeds_would_show_it() -> None:
    records = configuration(LOW, [0.50, 0.56, 0.53]) + configuration(HIGH, [0.53, 0.58, 0.57], first_seed=9)
    words = only_cell(compare_records(records)).verdict.words
    assert words == "not distinguishable with n = 3; about 15 seeds (9 to 55) would show a difference of this size"


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


def test_seeds_that_did_not_learn_are_a_result_of_their_own() -> None:
    base = [0.60, 0.61, 0.62, 0.61, 0.60, 0.63]
    records = configuration(LOW, base) + configuration(HIGH, [*(value + 0.02 for value in base[:5]), 0.34])
    records[7] = made(spec(1, lr=HIGH), 0.6355)
    comparison = compare_records(records)
    row, cell = comparison.rows[1], only_cell(comparison)
    assert (row.learning.num_learned, row.learning.num_ended, row.learning.others) == (5, 6, {"at chance": 1})
    interval = proportion_confint(5, 6, method="wilson")
    assert row.learning.interval is not None
    assert (row.learning.interval.low, row.learning.interval.high) == pytest.approx(interval)
    assert row.learning.verdict == "too few seeds for a verdict"
    assert cell.summary.n == 5
    assert cell.contrast is not None
    assert (cell.contrast.n, cell.contrast.left_out) == ((5, 5), ("seed=5",))
    assert cell.verdict.kind == "better"
    assert cell.verdict.words.endswith(", among seeds that learned")
    assert cell.values["seed=5"] == 0.34
    assert of_comparison(comparison)[-1].rows[1][1:4] == ("5 of 6", "43.6 .. 97.0", "1 at chance")
    assert "learned in 5 of 6 seeds" in answer(comparison)[-1]


def test_a_configuration_that_learns_less_often_is_said_to_by_fishers_test() -> None:
    base = [0.60, 0.61, 0.62, 0.61, 0.60, 0.63]
    row = compare_records(configuration(LOW, base) + configuration(HIGH, [0.33, 0.34, 0.33, 0.35, 0.34, 0.61])).rows[1]
    assert row.learning.p_value == pytest.approx(stats.fisher_exact([[1, 5], [6, 0]]).pvalue)
    assert row.learning.verdict.startswith("learns less often (p = ")
    assert row.cells["test_accuracy"].verdict.kind == "not compared"


def test_a_row_that_never_learns_is_still_compared() -> None:
    records = configuration(LOW, [0.60, 0.61, 0.62]) + configuration(HIGH, [0.33, 0.34, 0.33])
    assert only_cell(compare_records(records)).verdict.kind == "worse"


def test_a_weak_trial_is_not_taken_for_one_that_did_not_learn() -> None:
    row = compare_records(configuration(LOW, [0.60, 0.61, 0.62]) + configuration(HIGH, [0.45, 0.61, 0.63])).rows[1]
    assert row.learning.all_learned


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


def test_failed_trials_are_counted_and_never_compared() -> None:
    records = configuration(LOW, [0.5, 0.51, 0.52]) + configuration(HIGH, [0.6, 0.61])
    records += [
        ended(spec(2, lr=HIGH), "failed"),
        ended(spec(3, lr=HIGH), "killed"),
        ended(spec(4, lr=HIGH), "running"),
    ]
    row = compare_records(records).rows[1]
    assert row.statuses == {"finished": 2, "failed": 1, "killed": 1, "running": 1}
    assert row.cells["test_accuracy"].summary.n == 2


def test_a_row_of_failed_trials_stays_in_the_table() -> None:
    records = [*configuration(LOW, [0.5, 0.51]), ended(spec(0, lr=HIGH), "failed")]
    row = compare_records(records).rows[1]
    assert row.cells["test_accuracy"].verdict.words == "not compared: no trial of this row has finished"
    baseline_failed = compare_records(records, question(baseline={"optimizer.lr": HIGH}))
    assert only_cell(baseline_failed).verdict.words == "not compared: no trial of the baseline has finished"


def test_a_repeated_trial_is_no_new_draw() -> None:
    records = configuration(LOW, [0.5, 0.51]) + configuration(LOW, [0.6]) + [ended(spec(1, lr=LOW), "failed")]
    (row,) = compare_records(records).rows
    assert list(row.cells["test_accuracy"].values.values()) == [0.51, 0.6]
    assert row.statuses == {"finished": 2}


def test_the_best_is_chosen_by_validation_and_test_is_reported() -> None:
    records = [made(spec(seed, lr=LOW), 0.7, val=0.5) for seed in range(2)]
    records += [made(spec(seed, lr=HIGH), 0.6, val=0.55) for seed in range(2)]
    rows = compare_records(records).rows
    assert [row.is_best for row in rows] == [False, True]
    assert rows[1].cells["test_accuracy"].summary.mean == pytest.approx(0.6)


def test_trials_that_never_reach_a_target_are_kept_and_counted() -> None:
    fast, slow = configuration(LOW, [0.5, 0.6, 0.7]), configuration(HIGH, [0.5, 0.6, 0.7])
    for place in (0, 1):
        never = tuple(replace(epoch, val_accuracy=0.1) for epoch in slow[place].epochs)
        slow[place] = replace(slow[place], epochs=never)
    comparison = compare_records(fast + slow, question(targets={"val_accuracy": 0.7}))
    epochs, seconds = comparison.metrics[1:]
    assert [epochs.name, seconds.name] == ["epochs_to_val_accuracy=0.7", "seconds_to_val_accuracy=0.7"]
    reached, censored = (row.cells[epochs.name] for row in comparison.rows)
    assert reached.summary.mean == 2.0
    assert comparison.rows[0].cells[seconds.name].summary.mean == pytest.approx(3.5)
    assert (censored.num_reached, len(censored.values)) == (1, 3)
    assert value(censored, epochs) == "> 3.0 (1 of 3)"
    assert censored.verdict.words == "not compared: reached by 1 of 3 trials, in the baseline by 3 of 3"
    assert value(comparison.rows[1].cells[seconds.name], seconds) == "> 5.25 (1 of 3)"


def test_the_median_counts_what_was_never_reached_as_longer_than_any() -> None:
    trials = [made(spec(seed, lr=LOW)) for seed in range(3)]
    trials[0] = replace(trials[0], epochs=tuple(replace(epoch, val_loss=9.0) for epoch in trials[0].epochs))
    comparison = compare_records(trials, question(targets={"val_loss": 1.1}))
    cell = comparison.rows[0].cells["epochs_to_val_loss=1.1"]
    assert value(cell, comparison.metrics[1]) == "median 2.0 (2 of 3)"


def test_rows_that_pool_other_differences_are_pointed_out_and_paired_within_them() -> None:
    records = [
        made(spec(seed, lr=lr, batch_size=size), accuracy + seed / 100 + (0.1 if size == 32 else 0) + noise)
        for lr, accuracy in ((LOW, 0.5), (HIGH, 0.52))
        for size in (12, 32)
        for seed, noise in enumerate((0.0, 0.001 * lr * 1000))
    ]
    comparison = compare_records(records, question(by=["optimizer.lr"]))
    cell = only_cell(comparison)
    assert len(comparison.rows) == 2
    assert cell.contrast is not None
    assert cell.contrast.n == (4, 4)
    assert cell.contrast.is_paired
    assert any("pool trials that differ in batch_size" in warning for warning in comparison.warnings)


def test_what_differs_between_rows_and_is_not_asked_for_is_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6]) + [made(spec(seed, lr=HIGH, batch_size=32)) for seed in range(2)]
    assert compare_records(records, question(by=["batch_size"])).warnings == ("the rows also differ in optimizer.lr",)


def test_machines_that_are_confounded_with_configurations_are_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    other = replace(records[0].machine, hostname="elsewhere")
    mixed = [replace(record, machine=other if record.spec.seed else record.machine) for record in records]
    assert compare_records(mixed).warnings == ()
    (warning,) = compare_records(mixed, question(metrics=["seconds_per_epoch"])).warnings
    assert "times of 2 machines" in warning
    assert "elsewhere" in warning
    apart = [replace(record, machine=other if record in records[2:] else record.machine) for record in records]
    (warning,) = compare_records(apart).warnings
    assert warning.startswith("configurations ran on different machines, which may be what makes a difference: ")
    threads = replace(records[0].machine, num_threads=7)
    apart = [replace(record, machine=threads if record in records[2:] else record.machine) for record in records]
    (warning,) = compare_records(apart).warnings
    assert "7 threads" in warning


def test_the_best_row_as_a_baseline_named_late_is_pointed_out() -> None:
    records = [*configuration(1, [0.5, 0.51, 0.52]), *configuration(2, [0.6, 0.61, 0.62])]
    records += configuration(3, [0.55, 0.56, 0.57])
    for lr, which in ((1, "lowest"), (2, "highest"), (3, "")):
        found = on_late_baseline(compare_records(records, question(baseline={"optimizer.lr": lr})))
        assert [which in warning for warning in found] == ([True] if which else [])
    assert on_late_baseline(compare_records(records[:6])) == ()


def test_other_code_data_and_versions_are_pointed_out() -> None:
    records = configuration(LOW, [0.5, 0.6])
    versions = {"torch": "9.9"}
    records[1] = replace(
        records[1],
        data_digest="e" * 64,
        plugin_sources={"model": "c" * 64},
        machine=replace(records[1].machine, versions=versions),
    )
    warnings = " / ".join(compare_records(records).warnings)
    assert "squares is not the same images in all trials" in warnings
    assert "the code of model alexnet is not the same in all trials" in warnings
    assert "trials ran with torch 2.14.1 and 9.9" in warnings


def test_the_baseline_may_be_named_as_it_is_typed() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    for where in ({"optimizer.lr": HIGH}, {"optimizer.lr": "0.005", "optimizer.name": "sgd"}):
        assert compare_records(records, question(baseline=where)).baseline.where == {"optimizer.lr": HIGH}


BAD_QUESTIONS = [
    (question(by=["optimizer.lrr"]), "no trial has 'optimizer.lrr'", "did you mean 'optimizer.lr'?"),
    (question(by=["epochs"]), "cannot compare by 'epochs': it is 3 in all trials", "what varies: optimizer.lr"),
    (question(by=["optimizer.name"]), "cannot compare by 'optimizer'", ""),
    (question(by=["seed"]), "cannot compare by 'seed'", ""),
    (question(metrics=["test_acuracy"]), "no trial has a metric 'test_acuracy'", "did you mean 'test_accuracy'?"),
    (question(metrics=["nonsense"]), "no trial has a metric 'nonsense'", "all metrics: final_train_accuracy, "),
    (question(baseline={"optimizer.lr": 7}), "no row matches the baseline optimizer.lr=7", "rows: optimizer.lr=0.001;"),
    (question(baseline={"model": "alexnet"}), "matches 2 rows", "name one of them"),
    (question(baseline={"modell": "alexnet"}), "no trial has 'modell'", "did you mean 'model'?"),
    (question(targets={"val_accuracy": 50}), "accuracies are fractions", "write 0.5 for 50 %"),
    (question(targets={"test_accuracy": 0.5}), "not measured after every epoch", ""),
]


@pytest.mark.parametrize(("asked", "message", "hint"), BAD_QUESTIONS, ids=lambda value: str(value)[:40])
def test_a_question_without_an_answer_is_refused_with_a_hint(asked: Compare, message: str, hint: str) -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.61])
    with pytest.raises(SpecError) as caught:
        compare_records(records, asked)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_trials_without_results_are_no_comparison() -> None:
    with pytest.raises(SpecError, match="no trial has finished: 1 failed, 1 running"):
        compare_records([ended(spec(0), "failed"), ended(spec(1), "running")])


def test_one_configuration_is_described_and_compared_with_nothing() -> None:
    comparison = compare_records(configuration(LOW, [0.5, 0.6, 0.7]))
    (row,) = comparison.rows
    assert row.is_baseline
    assert row.is_best
    assert row.cells["test_accuracy"].verdict.kind == "baseline"


def expected(published: float, **changes: Any) -> Expected:
    row = {"where": {"optimizer.lr": LOW}, "metric": "test_accuracy", "value": published, "source": "Table 1"}
    return read_comparison({"expected": [row | changes]})[1][0]


def published(value: float, accuracies: Sequence[float], **changes: Any) -> PublishedRow:
    (row,) = against_published(configuration(LOW, accuracies), [expected(value, **changes)])
    return row


def test_a_published_number_is_reproduced_within_noise_or_different() -> None:
    ours = [
        0.50,
        0.52,
        0.54,
    ]  # mean 0.52, standard deviation 0.02; of a new run 0.0231; interval 0.52 +- 0.0994 on the scale of logits
    found = [published(theirs, ours) for theirs in (0.54, 0.545, 0.61, 0.62, 0.41)]
    assert [row.judgement for row in found] == ["reproduced", "within noise", "within noise", "differs", "differs"]
    interval = found[0].prediction
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.42115, 0.61731), abs=1e-4)
    assert found[0].ours.n == 3


def test_a_published_number_is_not_judged_without_an_interval() -> None:
    assert (published(0.5, [0.5]).judgement, published(0.5, [0.5]).why) == ("not judged", "n = 1 has no interval")
    assert published(0.1, [0.1, 0.1]).judgement == "reproduced"
    assert published(0.2, [0.1, 0.1]).judgement == "not judged"
    assert published(30, [0.1, 0.2], metric="overfit_epoch").why == "0 of 2 trials have a value"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (expected(54.6), r"\[\[expected\]\] 1: accuracies are fractions from 0 to 1, not 54.6"),
        (expected(0.5, where={"optimizer.lr": 7}), r"\[\[expected\]\] 1 matches no trial: optimizer.lr=7"),
        (expected(0.5, where={}), "matches several configurations"),
        (expected(0.5, metric="test_acc"), "no trial has a metric 'test_acc'"),
    ],
)
def test_a_published_number_that_cannot_be_compared_is_refused(row: Expected, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        against_published(configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5]), [row])


def predictions(right: str) -> Predictions:
    """Return predictions of as many images as there are digits, right where one is 1."""
    images = tuple(f"test {number}" for number in range(len(right)))
    return Predictions(images, ("a",) * len(right), tuple("a" if digit == "1" else "b" for digit in right))


def test_mcnemar_is_what_a_hand_computes() -> None:
    # Alone right 9 times and 1 time: p = 2 (C(10,0) + C(10,1)) / 2^10 = 22 / 1024.
    found = compare_models(
        predictions("1" * 9 + "0" + "1" * 5 + "0" * 3), predictions("0" * 9 + "1" + "1" * 5 + "0" * 3)
    )
    assert (found.both, found.only_first, found.only_second, found.neither) == (5, 9, 1, 3)
    assert found.p_value == pytest.approx(22 / 1024)
    assert found.p_value == pytest.approx(mcnemar([[5, 9], [1, 3]], exact=True).pvalue)
    assert found.is_different
    assert found.verdict.startswith("the first model is correct more often")
    assert "not about their configurations" in found.verdict
    assert found.accuracies == (14 / 18, 6 / 18)


def test_two_models_that_are_right_on_the_same_images_are_not_distinguishable() -> None:
    found = compare_models(predictions("1100"), predictions("1100"))
    assert found.p_value == 1.0
    assert found.verdict.startswith("the two are not distinguishable")


def test_models_tested_on_other_images_are_refused() -> None:
    with pytest.raises(SpecError, match="not tested on the same images"):
        compare_models(predictions("110"), predictions("1100"))


def test_a_value_that_is_not_finite_is_told_of() -> None:
    records = configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5, 0.6])
    assert records[2].final is not None
    records[2] = replace(records[2], final=replace(records[2].final, test_loss=math.inf))
    cell = only_cell(compare_records(records, question(metrics=["test_loss"])), "test_loss")
    assert cell.verdict.words == "not compared: a value is not finite"


def test_an_interval_beyond_all_numbers_is_left_out() -> None:
    records = [
        made(spec(seed, lr=lr), seconds=seconds)
        for lr, times in ((LOW, (1.0, 100.0)), (HIGH, (100.0, 1.0)))
        for seed, seconds in enumerate(times)
    ]
    cell = only_cell(compare_records(records, question(metrics=["train_seconds"], confidence=0.9999)), "train_seconds")
    assert cell.summary.interval is None
    assert cell.contrast is not None
    assert cell.contrast.interval is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_target_that_no_epoch_can_reach_or_miss_is_refused(value: float) -> None:
    with pytest.raises(SpecError, match="is no number to reach"):
        Target.of("val_loss", value)
