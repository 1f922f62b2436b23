"""Which trials of an experiment can be compared with each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.made_records import configuration, made, spec

from benchbench.compare.groups import split
from benchbench.config.compare_section import Question, read_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.records.record import Record

RATES = configuration(0.1, [0.50, 0.52, 0.51]) + configuration(0.2, [0.60, 0.63, 0.61])


def question(**changes: object) -> Question:
    return read_comparison({"compare": changes})[0]


def headings(records: Sequence[Record], asked: Question | None = None) -> dict[str, int]:
    """Return the headings of the groups with their numbers of trials."""
    return {group.heading: len(group.records) for group in split(records, asked or question())}


def on(dataset: str, records: Sequence[Record], *, digest: str = "", **params: int) -> list[Record]:
    """Return the trials on another dataset, or on other images of theirs."""
    changed = []
    for record in records:
        plugin = replace(record.spec.dataset, name=dataset, params=record.spec.dataset.params | params)
        of_record = replace(record.spec, dataset=plugin)
        attempt, images = f"{record.attempt}x", digest or record.data_digest
        changed.append(replace(record, spec=of_record, spec_id=of_record.id, data_digest=images, attempt=attempt))
    return changed


def test_trials_of_one_dataset_are_one_group_without_a_heading() -> None:
    assert headings(RATES) == {"": 6}


def test_each_dataset_is_a_group_unless_the_question_names_it() -> None:
    records = [*RATES, *on("circles", RATES)]
    assert headings(records) == {"dataset=squares": 6, "dataset=circles": 6}
    assert headings(records, question(by=["dataset"])) == {"": 12}
    assert headings(records, question(baseline={"dataset": "squares", "optimizer.lr": 0.1})) == {"": 12}


def test_images_that_changed_are_a_group_of_their_own() -> None:
    changed = on("squares", RATES, digest="0123456789abcdef")
    old, new = headings([*RATES, *changed])
    assert new == "images 01234567"
    assert old.startswith("images ")


def test_a_parameter_of_a_dataset_makes_rows_and_no_groups() -> None:
    assert headings([*RATES, *on("squares", RATES, digest="0123456789abcdef", image_size=32)]) == {"": 12}


def test_single_trials_that_differ_in_more_than_the_others_are_apart() -> None:
    tried = [made(spec(0, lr=0.1, epochs=1)), made(spec(0, lr=0.1, batch_size=7))]
    assert headings([*RATES, *tried]) == {"several seeds": 6, "single trials": 2}
    assert headings([*RATES, *tried], question(by=["optimizer.lr"])) == {"": 8}


def test_a_trial_that_is_alone_is_named_by_what_varies() -> None:
    assert list(headings([*RATES, made(spec(5, lr=0.1, epochs=1))])) == [
        "several seeds",
        "single trial, optimizer.lr=0.1 epochs=1 seed=5",
    ]


def test_a_configuration_whose_seeds_are_still_to_come_stays_with_the_others() -> None:
    assert headings([*RATES, made(spec(0, lr=0.3))]) == {"": 7}


def test_trials_that_are_all_single_are_one_group() -> None:
    assert headings([made(spec(0, lr=0.1)), made(spec(0, lr=0.2, epochs=1))]) == {"": 2}
