"""Trials against published numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.comparisons import HIGH, LOW
from support.made_records import configuration

from benchbench.compare import against_published
from benchbench.config.compare_section import Expected, read_comparison
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare import PublishedRow


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


def test_published_numbers_of_trials_that_have_not_run_yet_are_not_judged() -> None:
    rows = [expected(0.5), expected(0.1, where={"optimizer.lr": HIGH})]
    ours, none = against_published(configuration(LOW, [0.5, 0.6]), rows)
    assert ours.judgement == "reproduced"
    assert (none.judgement, none.why, none.ours.n) == ("not judged", "no trial of ours has finished", 0)


def test_a_published_number_may_be_an_epoch_in_which_a_target_was_reached() -> None:
    records = configuration(LOW, [0.5, 0.6])
    rows = [expected(1, metric="epochs_to_val_accuracy=0.1")]
    (row,) = against_published(records, rows, targets={"val_accuracy": 0.1})
    assert row.judgement == "reproduced"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (expected(54.6), r"\[\[expected\]\] 1: accuracies are fractions from 0 to 1, not 54.6"),
        (expected(0.5, where={"optimizer.lr": 7}), r"\[\[expected\]\] matches no trial: optimizer.lr=7"),
        (expected(0.5, where={}), "matches several configurations"),
        (expected(0.5, metric="test_acc"), "no trial has a metric 'test_acc'"),
    ],
)
def test_a_published_number_that_cannot_be_compared_is_refused(row: Expected, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        against_published(configuration(LOW, [0.5, 0.6]) + configuration(HIGH, [0.5]), [row])


def test_a_published_number_is_compared_with_trials_on_the_images_of_now() -> None:
    now = configuration(LOW, [0.5, 0.52])
    before = [replace(record, data_digest="0" * 64, started_ms=1) for record in now]
    (row,) = against_published(before + now, [expected(0.51)])
    assert row.ours.n == 2


def test_a_class_may_be_asked_for_by_its_own_name() -> None:
    rows = [expected(0.5, metric=f"test_accuracy/{name}") for name in ("Persian cat", "Persian_cat", "goldfish")]
    found = against_published(configuration(LOW, [0.5, 0.6]), rows)
    assert [row.metric.name for row in found] == [
        "test_accuracy/Persian_cat",
        "test_accuracy/Persian_cat",
        "test_accuracy/goldfish",
    ]
    assert all(row.ours.n == 2 for row in found)


def test_a_published_number_is_not_judged_by_seeds_of_which_only_some_learned() -> None:
    """Three seeds alone differ from 0.75; with a fourth one at chance, the interval would reach beyond it."""
    assert published(0.75, [0.60, 0.61, 0.62]).judgement == "differs"
    mixed = published(0.75, [0.60, 0.61, 0.62, 0.34])
    assert (mixed.judgement, mixed.why, mixed.prediction) == ("not judged", "3 of 4 trials learned", None)
    assert published(5, [0.60, 0.61, 0.62, 0.34], metric="train_seconds").why == "our values do not vary"
