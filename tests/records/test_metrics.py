"""The metrics of trials: what is known of each, and which of them a grid file may name."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from support import journals
from support.made_records import made, spec

from benchbench.compare.metric_values import Metric, values_of
from benchbench.config.compare_section import read_comparison
from benchbench.errors import SpecError
from benchbench.records.events import Epoch
from benchbench.records.metrics import (
    MAX_CLASS_METRICS,
    METRICS,
    OF_AN_EPOCH,
    Meaning,
    check_question,
    final_values,
    logged_final_values,
    meaning_of,
)


def test_every_number_of_a_finished_trial_is_a_known_metric() -> None:
    names = {name for name in values_of(made(spec())) if not name.startswith("test_accuracy/")}
    assert names == set(METRICS)


def test_every_number_of_an_epoch_is_in_the_table_of_metrics() -> None:
    # MLflow shows these below system/, and they are not compared.
    of_machine = {"peak_memory_bytes", "noisy"}
    names = {field.name for field in fields(Epoch)} - {"epoch"} - of_machine
    assert names <= set(METRICS)
    assert {name for name, meaning in METRICS.items() if meaning.of_each_epoch} <= names


def test_mlflow_shows_the_final_numbers_that_a_trial_has_and_those_of_classes_only_if_they_are_few() -> None:
    final = replace(journals.finished().final, selected_epoch=2)
    few, many = (
        replace(final, test_accuracy_per_class={f"class {number}": 0.5 for number in range(count)})
        for count in (MAX_CLASS_METRICS, MAX_CLASS_METRICS + 1)
    )
    of_classes = {name: value for name, value in final_values(many).items() if "/" in name}
    assert final_values(few).keys() - logged_final_values(few).keys() == {"overfit_epoch"}
    assert final_values(many).keys() - logged_final_values(many).keys() == {"overfit_epoch", *of_classes}
    assert of_classes == {f"test_accuracy/class_{number}": 0.5 for number in range(MAX_CLASS_METRICS + 1)}


def test_targets_and_schedulers_may_name_losses_and_accuracies_of_epochs() -> None:
    assert OF_AN_EPOCH == ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


@pytest.mark.parametrize(
    ("name", "unit", "better"),
    [
        ("test_accuracy/goldfish", "fraction", "higher"),
        ("time/train_seconds", "seconds", "lower"),
        ("epochs_to_val_accuracy=0.5", "epochs", "lower"),
        ("seconds_to_val_loss=0.5", "seconds", "lower"),
        ("time/seconds_to_val_loss=0.5", "seconds", "lower"),
    ],
)
def test_metrics_of_classes_targets_and_mlflow_follow_rules(name: str, unit: str, better: str) -> None:
    assert meaning_of(name) == Meaning(unit, better)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["val_f1", "other_accuracy", "time/overhead_fraction", "train_accuracy/goldfish"])
def test_an_unknown_metric_is_said_to_be_unknown_whatever_its_name_looks_like(name: str) -> None:
    with pytest.raises(SpecError, match=r"unknown metric .*: benchbench knows neither its unit"):
        Metric.named(name)


def test_known_metrics_pass_with_and_without_the_prefix_of_mlflow() -> None:
    metrics = ["test_accuracy", "test_accuracy/goldfish", "time/train_seconds", "epochs_to_val_accuracy=0.5"]
    check_question(*read_comparison({"compare": {"metrics": metrics, "targets": {"val_accuracy": 0.5}}}))


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"compare": {"metrics": ["test_acuracy"]}}, "no trial has a metric 'test_acuracy'", "'test_accuracy'"),
        ({"expected": [{"metric": "trian_seconds", "value": 1.0}]}, "metric 'trian_seconds'", "'train_seconds'"),
        ({"compare": {"targets": {"val_acuracy": 0.5}}}, "no target can be set for 'val_acuracy'", "'val_accuracy'"),
        ({"expected": [{"metric": "tset_accuracy", "value": 54.6}]}, "metric 'tset_accuracy'", "'test_accuracy'"),
    ],
)
def test_a_metric_that_no_trial_has_is_refused_with_the_closest_one(
    table: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_question(*read_comparison(table))
    assert message in caught.value.message
    assert hint in caught.value.hint
