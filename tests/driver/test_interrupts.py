"""Ctrl-C keeps the results so far."""

from __future__ import annotations

import pytest

from benchbench.driver.interrupts import Interrupted, interruptible


def test_ctrl_c_in_a_block_raises_the_result_so_far() -> None:
    with pytest.raises(Interrupted) as stopped, interruptible(), interruptible(lambda: "a result"):
        raise KeyboardInterrupt
    assert stopped.value.result == "a result"


def test_ctrl_c_before_there_is_a_result_raises_none() -> None:
    with pytest.raises(Interrupted) as stopped, interruptible():
        raise KeyboardInterrupt
    assert stopped.value.result is None
