"""What a trial does, and says, if memory runs out."""

import pytest
import torch

from benchbench.errors import BenchError
from benchbench.worker.out_of_memory import OutOfMemoryError, largest_batch, memory_errors_named


def test_a_failure_that_only_the_worker_has_a_class_for_stays_a_failure() -> None:
    told = BenchError.from_json(OutOfMemoryError("out of memory", hint="a smaller batch").to_json())
    assert (told.message, told.hint, told.exit_code) == ("out of memory", "a smaller batch", 1)


MESSAGES = (
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "Invalid buffer size: 19.45 GiB",
    "std::bad_alloc",
)


@pytest.mark.parametrize("message", MESSAGES)
def test_memory_that_runs_out_in_a_library_is_told_as_such(message: str) -> None:
    when = memory_errors_named(lambda: "in a training step")
    with pytest.raises(OutOfMemoryError, match="out of memory in a training step") as raised, when:
        raise RuntimeError(message)
    assert "--batch-size" in raised.value.hint


@pytest.mark.parametrize(("fits", "expected"), [(1000, 64), (40, 32), (16, 16), (9, 8)])
@pytest.mark.parametrize(
    "message", ["CUDA out of memory", "GET was unable to find an engine to execute this computation"]
)
def test_an_evaluation_batch_shrinks_until_there_is_memory_for_it(fits: int, expected: int, message: str) -> None:
    def evaluate(size: int) -> None:
        if size > fits:
            raise RuntimeError(message)

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
