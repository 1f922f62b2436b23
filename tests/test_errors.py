"""Texts of errors and notes."""

from __future__ import annotations

from benchbench.errors import closest, counted


def test_what_is_counted_is_one_or_many() -> None:
    assert [counted(number, "epoch") for number in (0, 1, 2, 1200)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,200 epochs",
    ]
    assert [counted(number, "trial waits", "trials wait") for number in (1, 2)] == ["1 trial waits", "2 trials wait"]


def test_the_last_word_of_a_key_suggests_the_key() -> None:
    known = ["model", "loss", "optimizer.name", "optimizer.lr", "epochs"]
    assert closest("lr", known) == "did you mean 'optimizer.lr'?"
    assert closest("epoch", known) == "did you mean 'epochs'?"
