"""Records as one value."""

from __future__ import annotations

from support import journals
from support.made_records import ended, made, spec

from benchbench.records.record import Record, best


def test_a_printed_record_is_a_line_with_its_result() -> None:
    record = made(spec(3), 0.753)
    assert str(record) == "alexnet on squares, seed 3: finished, test accuracy 75.3%"
    assert record._repr_html_() == f"<p>{record}</p>"
    assert repr(record) == f"<{record}>"
    assert str(ended(spec(3), "killed")) == "alexnet on squares, seed 3: killed"
    failed = Record.of([journals.started(), journals.failed()])
    assert str(failed).startswith("alexnet on squares, seed 7: failed, ")


def test_a_finished_trial_that_was_continued_and_stopped_is_not_the_best() -> None:
    stopped = Record.of(
        [journals.started(), journals.finished(), journals.resumed(3), journals.failed(status="killed")]
    )
    worse = made(spec(3), 0.5)
    assert best([stopped, worse]) is worse
    assert best([stopped]) is None
