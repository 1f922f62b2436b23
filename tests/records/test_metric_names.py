"""Names of metrics that a grid file may use, known before anything is trained."""

from __future__ import annotations

import pytest
from support.made_records import made, spec

from benchbench.compare.metric_values import values_of
from benchbench.config.compare_section import read_comparison
from benchbench.errors import SpecError
from benchbench.records.metric_names import check_question, known_metrics


def test_every_number_of_a_finished_trial_is_a_known_metric() -> None:
    names = {name for name in values_of(made(spec())) if not name.startswith("test_accuracy/")}
    assert names == set(known_metrics())


def test_known_metrics_pass_with_and_without_the_prefix_of_mlflow() -> None:
    metrics = ["test_accuracy", "test_accuracy/goldfish", "time/train_seconds", "epochs_to_val_accuracy=0.5"]
    check_question(*read_comparison({"compare": {"metrics": metrics, "targets": {"val_accuracy": 0.5}}}))


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"compare": {"metrics": ["test_acuracy"]}}, "no trial has a metric 'test_acuracy'", "'test_accuracy'"),
        ({"expected": [{"metric": "trian_seconds", "value": 1.0}]}, "metric 'trian_seconds'", "'train_seconds'"),
        ({"compare": {"targets": {"val_acuracy": 0.5}}}, "no target can be set for 'val_acuracy'", "'val_accuracy'"),
    ],
)
def test_a_metric_that_no_trial_has_is_refused_with_the_closest_one(
    table: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_question(*read_comparison(table))
    assert message in caught.value.message
    assert hint in caught.value.hint
