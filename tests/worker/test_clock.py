from contextlib import suppress

import pytest

from benchbench.worker.clock import Clock


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_phases_add_up_to_the_wall_clock() -> None:
    time = FakeTime()
    clock = Clock(now=time)
    time.sleep(1)
    with clock.phase("load"):
        time.sleep(2)
    with clock.phase("train"):
        time.sleep(4)
    time.sleep(8)
    with clock.phase("train"):
        time.sleep(16)
    times = clock.times()
    assert (times.load, times.train, times.other, times.wall) == (2, 20, 9, 31)


def test_a_phase_inside_another_takes_its_time_from_it() -> None:
    time = FakeTime()
    clock = Clock(now=time)
    with clock.phase("train"):
        time.sleep(1)
        with clock.phase("eval"):
            time.sleep(2)
        time.sleep(4)
    assert (clock.seconds("train"), clock.seconds("eval")) == (5, 2)


def test_a_phase_that_fails_is_counted_all_the_same() -> None:
    time = FakeTime()
    clock = Clock(now=time)
    with suppress(RuntimeError), clock.phase("train"):
        time.sleep(3)
        raise RuntimeError
    time.sleep(1)
    assert (clock.times().train, clock.times().other) == (3, 1)


def test_work_still_queued_on_the_device_is_counted_in_its_own_phase() -> None:
    time = FakeTime()
    queued = [0.0]

    def synchronize() -> None:
        time.sleep(queued[0])
        queued[0] = 0.0

    clock = Clock(synchronize, now=time)
    with clock.phase("train"):
        time.sleep(1)
        queued[0] = 5.0
    assert clock.times().train == 6


def test_an_error_of_the_device_is_raised_at_the_end_of_its_phase_and_the_times_stay_readable() -> None:
    time = FakeTime()
    is_lost = [False]

    def synchronize() -> None:
        if is_lost[0]:
            raise RuntimeError("an illegal memory access was encountered")

    clock = Clock(synchronize, now=time)

    def train() -> None:
        with clock.phase("train"):
            time.sleep(3)
            is_lost[0] = True

    with pytest.raises(RuntimeError, match="illegal"):
        train()
    time.sleep(1)
    times = clock.times(is_failing=True)
    assert (times.train, times.other, clock.failed_phase) == (3, 1, "train")


def test_the_error_that_came_first_is_raised_and_not_what_the_device_says_of_it() -> None:
    is_lost = [False]

    def synchronize() -> None:
        if is_lost[0]:
            raise RuntimeError("an illegal memory access was encountered")

    clock = Clock(synchronize)

    def evaluate() -> None:
        with clock.phase("eval"):
            is_lost[0] = True
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        evaluate()
    assert clock.failed_phase == "eval"
