"""Texts of errors and notes."""

from benchbench.errors import counted


def test_what_is_counted_is_one_or_many() -> None:
    assert [counted(number, "epoch") for number in (0, 1, 2, 1200)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,200 epochs",
    ]
    assert [counted(number, "trial waits", "trials wait") for number in (1, 2)] == ["1 trial waits", "2 trials wait"]
