"""Which run a word means."""

from __future__ import annotations

import pytest

from benchbench.errors import SpecError
from benchbench.records.record import MlflowRun
from benchbench.records.run_ids import only_match, short_id

RUNS = [
    MlflowRun("sqlite:///mlflow.db", "1", run_id * 32, origin_id, name)
    for run_id, origin_id, name in [
        ("a", "", "net-s0"),
        ("b", "c" * 32, "net-s1"),
        ("e", "", "net-s1"),
        ("f", "e" + "0" * 31, "a"),
    ]
]


@pytest.mark.parametrize(
    ("word", "run_id"), [("aa", "a"), ("b", "b"), ("ccc", "b"), ("net-s0", "a"), ("a", "f"), ("e" * 32, "e")]
)
def test_a_run_goes_by_its_name_and_by_the_beginning_of_its_ids(word: str, run_id: str) -> None:
    assert only_match(word, RUNS, experiment="bench").run_id == run_id * 32


@pytest.mark.parametrize(
    ("word", "runs", "message", "advice"),
    [
        ("net-s1", RUNS[1:3], "2 runs have the name 'net-s1'", "give an id"),
        ("e", RUNS[2:], "the ids of 2 runs begin with 'e'", "give more of the id"),
    ],
)
def test_a_word_for_several_runs_names_them(word: str, runs: list[MlflowRun], message: str, advice: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        only_match(word, RUNS, experiment="bench", remark=lambda run: " (b)" if run.run_id[0] == "b" else "")
    remarks = [f"{short_id(run.run_id)}{' (b)' if run is RUNS[1] else ''}" for run in reversed(runs)]
    assert caught.value.hint == f"{advice}; newest first: {', '.join(remarks)}"


def test_no_word_means_no_run() -> None:
    with pytest.raises(SpecError, match="no run of experiment 'bench' is ''"):
        only_match("", RUNS[:1], experiment="bench")


def test_a_word_for_no_run_names_the_closest_name() -> None:
    with pytest.raises(SpecError, match="no run of experiment 'bench' is 'net-s00'") as caught:
        only_match("net-s00", RUNS, experiment="bench")
    assert caught.value.hint == "did you mean 'net-s0'?"
