"""Accuracies over seeds and images, of which it is known what is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from support.made_records import configuration, ended, made, spec

from benchbench.compare import compare_populations
from benchbench.compare.population import compare_over_images
from benchbench.config.compare_section import read_comparison
from benchbench.errors import SpecError
from benchbench.records.known_runs import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTION = read_comparison({})[0]


def side(values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {f"seed={seed}": row for seed, row in enumerate(values)}


def predictions(correct: NDArray[np.bool_]) -> Predictions:
    images = tuple(f"test {number}" for number in range(len(correct)))
    return Predictions(images, ("a",) * len(correct), tuple("a" if each else "b" for each in correct))


def drawn(
    random: np.random.Generator, accuracies: tuple[float, float], *, seeds: int, images: int
) -> NDArray[np.bool_]:
    """Return what two configurations get right: easy images are easy for both."""
    difficulty = random.normal(0, 1.5, images)
    quality = stats.norm.ppf(accuracies)[:, None] * np.sqrt(1 + 1.5**2) + random.normal(0, 0.1, (2, seeds))
    return quality[..., None] + difficulty + random.normal(0, 1, (2, seeds, images)) > 0


def test_without_variation_between_images_it_is_the_t_test_over_seeds() -> None:
    random = np.random.default_rng(0)
    a, b = (random.normal(mean, 0.01, (5, 1)) + np.zeros((5, 400)) for mean in (0.62, 0.60))
    row = compare_over_images(side(a), side(b), confidence=0.95)
    test = stats.ttest_rel(a[:, 0], b[:, 0])
    assert row.is_paired
    assert row.seed_fraction == pytest.approx(1)
    assert row.p_value == pytest.approx(test.pvalue)
    assert row.interval is not None
    interval = test.confidence_interval(0.95)
    assert (row.interval.low, row.interval.high) == pytest.approx((interval.low, interval.high))


def test_without_variation_between_seeds_it_is_the_t_test_over_images() -> None:
    random = np.random.default_rng(0)
    a, b = (np.repeat(random.random((1, 50)) < accuracy, 3, axis=0).astype(float) for accuracy in (0.7, 0.5))
    row = compare_over_images(side(a), side(b), confidence=0.95)
    assert row.seed_fraction == pytest.approx(0)
    assert row.p_value == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue)


@pytest.mark.parametrize("is_paired", [True, False], ids=["paired", "unpaired"])
def test_intervals_over_images_cover_the_truth_as_often_as_they_say(*, is_paired: bool) -> None:
    random, covered, num_draws = np.random.default_rng(3), 0, 600
    for _ in range(num_draws):
        a, b = drawn(random, (0.75, 0.70), seeds=4, images=150).astype(float)
        other = side(b) if is_paired else {f"seed={seed + 100}": row for seed, row in enumerate(b)}
        row = compare_over_images(side(a), other, confidence=0.95)
        assert row.interval is not None
        covered += 0.75 - 0.70 in row.interval
    assert 0.93 <= covered / num_draws <= 0.985


def test_a_difference_on_this_test_set_need_not_be_one_on_images_like_these() -> None:
    records = configuration(0.1, [0.60, 0.60, 0.60]) + configuration(0.2, [0.63, 0.63, 0.63])
    baseline = np.arange(100) < 60
    better = np.roll(baseline, 20) | (np.arange(100) >= 97)
    told = {record.attempt: predictions(baseline if number < 3 else better) for number, record in enumerate(records)}
    (row,) = compare_populations(records, told, QUESTION).rows
    assert row.estimate == pytest.approx(0.03)
    assert row.kind == "not distinguishable"
    assert row.words.startswith("not distinguishable on images like these (p = ")
    assert row.num_images == 100


def test_two_seeds_are_too_few_for_a_verdict_on_images_like_these() -> None:
    records = configuration(0.1, [0.60, 0.60]) + configuration(0.2, [0.63, 0.63])
    told = {record.attempt: predictions(np.arange(10) < 5 + number) for number, record in enumerate(records)}
    (row,) = compare_populations(records, told, QUESTION).rows
    assert row.words == "not compared: too few seeds, a verdict needs 3"


def test_trials_of_different_images_are_refused() -> None:
    records = configuration(0.1, [0.6] * 3) + configuration(0.2, [0.6] * 3)
    told = {record.attempt: predictions(np.arange(10 + number) < 5) for number, record in enumerate(records)}
    with pytest.raises(SpecError, match="not tested on the same images"):
        compare_populations(records, told, QUESTION)


def test_configurations_that_a_row_pools_are_no_seeds() -> None:
    question = read_comparison({"compare": {"by": ["optimizer.lr"]}})[0]
    records = [made(spec(0, lr=lr, batch_size=size), 0.6) for lr in (0.1, 0.2) for size in (8, 16, 32)]
    random = np.random.default_rng(0)
    told = {record.attempt: predictions(random.random(90) < 0.6) for record in records}
    (row,) = compare_populations(records, told, question).rows
    assert row.words == "not compared: too few seeds, a verdict needs 3"


def test_a_baseline_of_which_no_trial_finished_is_not_replaced_by_another_row() -> None:
    failed = [ended(spec(seed, lr=0.1), "failed") for seed in range(3)]
    records = [*failed, *configuration(0.2, [0.6] * 3), *configuration(0.3, [0.7] * 3)]
    told = {record.attempt: predictions(np.arange(10) < 6) for record in records if record.status == "finished"}
    compared = compare_populations(records, told, QUESTION)
    assert compared.baseline == "optimizer.lr=0.1"
    assert {row.words for row in compared.rows} == {"not compared: no seed of one of the two has finished and learned"}


def test_that_all_seeds_of_one_learn_and_none_of_the_other_may_be_luck() -> None:
    records = configuration(0.1, [0.9, 0.91, 0.92]) + configuration(0.2, [0.33, 0.34, 0.33])
    told = {
        record.attempt: predictions(np.arange(90) % 9 < round(9 * record.final.test_accuracy))
        for record in records
        if record.final
    }
    (row,) = compare_populations(records, told, QUESTION).rows
    assert row.p_value == pytest.approx(1 / 32)


def test_a_configuration_of_which_no_seed_learned_has_no_difference_among_those_that_did() -> None:
    records = [*configuration(0.001, [0.9, 0.9, 0.33, 0.9]), *configuration(0.005, [0.33, 0.33, 0.33, 0.33])]
    told = {record.attempt: predictions(np.arange(30) % 3 > 0) for record in records}
    (row,) = compare_populations(records, told, QUESTION).rows
    assert row.estimate is None
    assert row.words == "not compared: no seed of one of the two has finished and learned"


def test_of_guesses_no_seed_is_said_to_have_learned() -> None:
    failed = [ended(spec(seed, lr=0.1), "failed") for seed in range(3)]
    records = [*failed, *configuration(0.2, [0.3] * 3)]
    told = {record.attempt: predictions(np.arange(10) < 3) for record in records if record.status == "finished"}
    (row,) = compare_populations(records, told, QUESTION).rows
    assert row.words == "not compared: no seed of one of the two has finished and predicted several classes"
