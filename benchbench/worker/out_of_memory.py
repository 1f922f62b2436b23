"""What happens if memory runs out: one error for all ways in which it does, and smaller evaluation batches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from benchbench.errors import BenchError, TrialError, first_line
from benchbench.worker.accelerate import give_back_memory, is_out_of_memory
from benchbench.worker.batches import EVAL_BATCH_SIZE
from benchbench.worker.seeds import buffers_kept, random_states_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchbench.worker.batches import Batches
    from benchbench.worker.train import Learner


class OutOfMemoryError(TrialError):
    """The device or the machine has no memory left for the trial."""


@contextmanager
def memory_errors_named(when: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn the many ways of running out of memory into an :class:`OutOfMemoryError`.

    ``when`` is asked then for what needed the memory, such as ``in a training step of 32 images``.
    """
    try:
        yield
    except BenchError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = first_line(error) or "the system has no memory left"
        raise OutOfMemoryError(
            f"{' '.join(filter(None, ('out of memory', when())))}: {reason}",
            hint="try a smaller --batch-size or dataset.image_size",
        ) from error


def set_eval_batch_size(learner: Learner, splits: Sequence[Batches]) -> None:
    """Set how many images the evaluation batches of all splits have: fewer than usual if a GPU has little memory."""
    is_on_cpu = learner.acceleration.device.type == "cpu"
    size = EVAL_BATCH_SIZE if is_on_cpu else _largest_eval_batch(learner, splits[0])
    for batches in splits:
        batches.eval_batch_size = size


def _largest_eval_batch(learner: Learner, split: Batches) -> int:
    """Return the largest evaluation batch that fits beside the optimizer's states; the split has it from then on."""

    @torch.no_grad()
    def evaluate(size: int) -> None:
        split.eval_batch_size = size
        images, _ = next(split.in_order())
        device = learner.acceleration.device
        with random_states_kept(device), buffers_kept(learner.evaluated), learner.acceleration.context(images):
            learner.evaluated.eval()
            learner.evaluated(images)

    # States of the optimizer, which the first step makes and which stay during an evaluation.
    num_states = 1 if isinstance(learner.optimizer, torch.optim.SGD) else 2
    weights = (weight for group in learner.optimizer.param_groups for weight in group["params"])
    reserved = [torch.empty_like(weight) for weight in weights if weight.requires_grad for _ in range(num_states)]
    size = largest_batch(evaluate)
    del reserved
    return size


def largest_batch(evaluate: Callable[[int], None]) -> int:
    """Return the largest of 64, 32, 16 and 8 images that ``evaluate`` has memory for; raises what it raises for 8."""
    for size in (EVAL_BATCH_SIZE, EVAL_BATCH_SIZE // 2, EVAL_BATCH_SIZE // 4):
        try:
            evaluate(size)
        except Exception as error:  # a stranger's network; there are many errors of memory
            # cuDNN says the latter if it lacks room for a layer, or cannot compute it at all: then 8 images raise.
            if not is_out_of_memory(error) and "unable to find an engine" not in str(error):
                raise
        else:
            return size
        give_back_memory()
    evaluate(EVAL_BATCH_SIZE // 8)
    return EVAL_BATCH_SIZE // 8
