"""Histories of looks that are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchbench.tracking.look_history import MAX_CHARACTERS, LookHistory

if TYPE_CHECKING:
    from benchbench.tracking import Store


@pytest.fixture
def history(store: Store) -> LookHistory:
    return LookHistory(store.client, store.experiment_id)


def other(store: Store) -> LookHistory:
    return LookHistory(store.client, store.client.create_experiment("other"))


def test_looks_of_two_histories_all_count_and_once(store: Store, history: LookHistory) -> None:
    theirs = other(store)
    for looks, numbers in ((history, (6, 10)), (theirs, (6, 8))):
        for number in numbers:
            looks.record_look("question", {"accuracy": number})
    theirs.record_look("another question", {"accuracy": 4})
    for _ in range(2):
        history.add_looks(theirs.all_looks())
    assert history.recorded_looks("question", ["accuracy"]) == [6, 8, 10]
    assert history.recorded_looks("another question", ["accuracy"]) == [4]
    assert theirs.recorded_looks("question", ["accuracy"]) == [6, 8]


def test_looks_at_hundreds_of_tests_and_at_a_few_all_count(store: Store, history: LookHistory) -> None:
    theirs, many = other(store), [f"test {number}" for number in range(400)]
    for number in (3, 5):
        theirs.record_look("question", dict.fromkeys(many, number))
    history.record_look("question", {"accuracy": 4})
    history.add_looks(theirs.all_looks())
    assert history.recorded_looks("question", ["accuracy"]) == [3, 4, 5]
    assert max(map(len, store.client.get_experiment(history.experiment_id).tags.values())) <= MAX_CHARACTERS
