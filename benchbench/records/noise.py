"""When the times of an epoch or a round are noisy: other processes used too much of the machine."""

from __future__ import annotations

NOISY_FRACTION = 0.05
"""The fraction of all cores' time that other processes may take before times are not to be trusted."""


def judge_noise(of_processors: float | None, of_gpu: float | None, *, on_gpu: bool) -> bool | None:
    """Tell whether other processes took so much that times say little; None if it is not known where it counts.

    Both are fractions of the time that others took, or None.
    """
    if max(of_processors or 0.0, of_gpu or 0.0) > NOISY_FRACTION:
        return True
    return None if (of_gpu if on_gpu else of_processors) is None else False
