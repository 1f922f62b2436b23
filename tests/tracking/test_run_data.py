"""What events are called in MLflow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mlflow.entities import Metric
from support import journals

from benchbench.config.differences import describe_spec
from benchbench.config.spec import PluginSpec
from benchbench.records.record import Record
from benchbench.tracking import run_data


def names(class_names: tuple[str, ...]) -> set[str]:
    event = journals.finished(class_names=class_names)
    return {point.key for point in run_data.points(event, last_epoch=3) if point.key.startswith("test_accuracy/")}


def test_accuracy_by_class_is_kept_up_to_twenty_classes() -> None:
    assert len(names(tuple(f"class {number}" for number in range(20)))) == 20
    assert names(tuple(f"class {number}" for number in range(21))) == set()


def test_the_epoch_from_which_a_trial_overfits_is_kept_where_there_is_one() -> None:
    found = {point.key: point.value for point in run_data.points(journals.finished(overfit_epoch=2), last_epoch=3)}
    assert found["overfit_epoch"] == 2


def test_long_texts_are_cut_to_what_mlflow_takes() -> None:
    spec = replace(journals.SPEC, model=replace(journals.SPEC.model, params={"text": "x" * 9000}))
    assert len(run_data.params(spec)["model.text"]) == 6000
    failed = replace(journals.failed(), error=replace(journals.failed().error, traceback="x" * 9000))
    record = Record.of([journals.started(), failed])
    assert max(len(value) for value in run_data.end_tags(record).values()) == 8000


def test_no_text_has_a_null_character_which_postgresql_refuses() -> None:
    spec = replace(journals.SPEC, model=replace(journals.SPEC.model, params={"text": "a\0b"}))
    failed = replace(journals.failed(), error=replace(journals.failed().error, message="bad\0thing"))
    tags = run_data.end_tags(Record.of([journals.started(), failed]))
    assert tags["benchbench.error"] == r"NonFiniteLossError: bad\0thing"
    assert r"bad\0thing" in tags["mlflow.note.content"]
    assert run_data.params(spec)["model.text"] == r"a\0b"
    assert run_data.run_name(spec, "text=a\0b").endswith(r"text=a\0b")
    assert "\0" not in "".join(tags.values())


def test_every_point_can_be_a_metric() -> None:
    for event in (journals.epoch(1), journals.finished(), journals.failed()):
        for point in run_data.points(event, last_epoch=1):
            assert Metric(point.key, point.value, point.timestamp_ms, point.step).step == 1


def test_equal_splits_are_told_apart_by_name() -> None:
    assert [split.name for split in run_data.inputs(journals.started())] == [
        "squares-train",
        "squares",
        "squares-test",
    ]


@pytest.mark.parametrize("value", [True, None, 1e-05, [0.9, 0.999], "adam"])
def test_a_param_reads_as_it_is_written_on_the_command_line(value: object) -> None:
    spec = replace(journals.SPEC, model=replace(journals.SPEC.model, params={"it": value}))
    written = {True: "true", None: "none", 1e-05: "1e-05", "adam": "adam"}
    expected = "[0.9, 0.999]" if isinstance(value, list) else written[value]
    assert run_data.params(spec)["model.it"] == expected


def test_the_name_of_a_run_tells_it_from_the_others_of_its_grid() -> None:
    assert run_data.run_name(journals.SPEC) == "alexnet-sgd-squares-s7"
    assert run_data.run_name(journals.SPEC, "lr=0.01") == "alexnet-sgd-squares-s7 lr=0.01"
    assert len(run_data.run_name(journals.SPEC, "x" * 300)) == 250


@pytest.mark.parametrize("kind", ["augmentation", "loss", "scheduler"])
def test_the_names_of_runs_tell_apart_trials_that_differ_in_a_plugin(kind: str) -> None:
    specs = [replace(journals.SPEC, **{kind: PluginSpec(name, 1, {})}) for name in ("one", "other")]
    keys = run_data.keys_of_names(specs)
    names = [run_data.run_name(spec, describe_spec(spec, keys)) for spec in specs]
    assert names == [f"alexnet-sgd-squares-s7 {kind}={name}" for name in ("one", "other")]


def test_the_name_of_a_run_tells_no_password_even_if_it_is_cut_off() -> None:
    name = run_data.run_name(journals.SPEC, f"url=https://ann:{'secret' * 50}@example.org/x.zip")
    assert name == "alexnet-sgd-squares-s7 url=https://example.org/x.zip"


def test_every_run_says_what_it_trains_from_its_start() -> None:
    assert run_data.start_tags(journals.started())["mlflow.note.content"].startswith("`alexnet` trained on `squares`")
