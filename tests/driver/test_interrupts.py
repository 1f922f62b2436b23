"""Ctrl-C keeps the results so far."""

from __future__ import annotations

import pytest

from benchbench.driver.interrupts import Interrupted, interruptible, result_so_far


def test_ctrl_c_in_a_block_raises_the_result_so_far() -> None:
    with pytest.raises(Interrupted) as stopped, interruptible(), interruptible(lambda: "a result"):
        raise KeyboardInterrupt
    assert stopped.value.result == "a result"


def test_ctrl_c_before_there_is_a_result_raises_none() -> None:
    with pytest.raises(Interrupted) as stopped, interruptible():
        raise KeyboardInterrupt
    assert stopped.value.result is None


def test_a_result_is_returned_with_whether_ctrl_c_stopped_the_call() -> None:
    def stopped() -> str:
        raise Interrupted("half a result")

    assert result_so_far(lambda: "a result") == ("a result", False)
    assert result_so_far(stopped) == ("half a result", True)


def test_ctrl_c_without_a_result_is_still_an_interrupt() -> None:
    def stopped() -> str:
        raise Interrupted

    with pytest.raises(Interrupted):
        result_so_far(stopped)
