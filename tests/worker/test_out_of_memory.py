"""What a trial does, and says, if memory runs out."""

import pytest
import torch

from benchbench.errors import BenchError
from benchbench.worker.out_of_memory import OutOfMemoryError, largest_batch


def test_a_failure_that_only_the_worker_has_a_class_for_stays_a_failure() -> None:
    told = BenchError.from_json(OutOfMemoryError("out of memory", hint="a smaller batch").to_json())
    assert (told.message, told.hint, told.exit_code) == ("out of memory", "a smaller batch", 1)


@pytest.mark.parametrize(("fits", "expected"), [(1000, 64), (40, 32), (16, 16), (9, 8)])
def test_an_evaluation_batch_shrinks_until_there_is_memory_for_it(fits: int, expected: int) -> None:
    def evaluate(size: int) -> None:
        if size > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert largest_batch(evaluate) == expected


def test_an_evaluation_batch_of_eight_is_the_smallest_and_other_errors_are_raised_at_once() -> None:
    sizes: list[int] = []

    def evaluate(size: int) -> None:
        sizes.append(size)
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fail(_: int) -> None:
        raise ValueError("no memory is lacking")

    with pytest.raises(torch.OutOfMemoryError):
        largest_batch(evaluate)
    assert sizes == [64, 32, 16, 8]
    with pytest.raises(ValueError, match="lacking"):
        largest_batch(fail)
