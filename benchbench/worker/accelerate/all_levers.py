"""All levers, in the order in which they are proven and applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.worker.accelerate.channels_last import ChannelsLast
from benchbench.worker.accelerate.constant_border import ConstantBorder
from benchbench.worker.accelerate.fused_steps import FusedSteps
from benchbench.worker.accelerate.linear import LinearProducts
from benchbench.worker.accelerate.steps_in_place import StepsInPlace
from benchbench.worker.accelerate.winograd import Winograd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchbench.worker.accelerate.lever import ComputeTarget, Lever

LEVERS: tuple[type[Lever], ...] = (LinearProducts, ConstantBorder, Winograd, ChannelsLast, FusedSteps, StepsInPlace)

PLAIN = {lever.fact: lever.plain for lever in LEVERS}
"""What a record says if no lever is used."""


def for_target(target: ComputeTarget) -> tuple[Lever, ...]:
    """Return the levers that are faster on a target."""
    return tuple(lever for kind in LEVERS if (lever := kind.for_target(target)) is not None)


def recorded(facts: Mapping[str, str]) -> tuple[Lever, ...]:
    """Return the levers that a trial with these facts in its record used."""
    return tuple(lever for kind in LEVERS if (lever := kind.recorded(facts)) is not None)
