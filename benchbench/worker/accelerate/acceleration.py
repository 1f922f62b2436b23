"""What is accelerated in one trial, and the context that its passes run in."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from benchbench.errors import DeviceError
from benchbench.worker.accelerate.all_levers import PLAIN, for_target, recorded
from benchbench.worker.accelerate.devices import instruction_set, possible_precisions
from benchbench.worker.accelerate.fused_steps import keep_implementation
from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.lever import ComputeTarget, Layers
from benchbench.worker.torch_settings import restore_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import nn

    from benchbench.config.defaults import Accelerate, Precision
    from benchbench.worker.accelerate.lever import Case, Lever

own_num_threads: int = torch.get_num_threads()
"""What torch chose when it was imported, before any plugin could change it."""


@dataclass(frozen=True)
class Acceleration:
    """How the steps of one trial are computed: by plain PyTorch, but for the levers.

    ``dropped`` are levers that the proof found wrong, each with the reason. ``num_threads`` are those of operators on
    the CPU. ``layers`` is set once the levers are applied.
    """

    device: torch.device
    precision: Precision
    mode: Accelerate = "auto"
    levers: tuple[Lever, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    compiled: bool = False
    num_threads: int = field(default_factory=lambda: own_num_threads)
    layers: Layers = field(default_factory=Layers)

    def apply(self) -> None:
        """Set all of torch's process-wide settings for this trial, so that none is left from the one before."""
        restore_settings(self.precision, num_threads=self.num_threads)

    @property
    def memory_format(self) -> torch.memory_format:
        """The order in memory of images."""
        is_last = any(lever.memory_format == torch.channels_last for lever in self.levers)
        return torch.channels_last if is_last else torch.contiguous_format

    def fitted(self, case: Case) -> Acceleration:
        """Return a copy with only those levers that fit a trial."""
        fitting = [lever for lever in self.levers if lever.fits(case)]
        return replace(self, levers=tuple(lever for lever in fitting if not lever.is_alone(fitting)))

    def without(self, dropped: Mapping[str, str], levers: Iterable[Lever]) -> Acceleration:
        """Return a copy with these levers, and with the reasons for which others were dropped."""
        return replace(self, levers=tuple(levers), dropped=dropped)

    def applied(self, case: Case) -> Acceleration:
        """Change the model and the optimizer as the levers want it, and return how layers are computed from now on."""
        keep_implementation(case.optimizer)
        layers = self.layers
        for lever in {lever.fact: lever for lever in self.levers}.values():
            layers = lever.apply(case, layers)
        return replace(self, layers=layers)

    def forward(self, model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what computes the logits of training batches."""
        if not self.compiled:
            return model
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        # The last batch is smaller. A graph for any size, made for it, would compute all batches of later epochs.
        return torch.compile(model, mode=mode, dynamic=False)

    @contextmanager
    def context(self, images: torch.Tensor | None = None) -> Iterator[None]:
        """Give the context that a forward pass runs in, of these images if they are of the trial's dataset."""
        is_mixed = self.precision == "bf16"
        with (
            torch.autocast(self.device.type, dtype=torch.bfloat16) if is_mixed else nullcontext(),
            nullcontext() if self.layers == Layers() else FastLayers(self.layers, images, is_mixed=is_mixed),
        ):
            yield

    def synchronize(self) -> None:
        """Wait until the device has finished all queued work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def facts(self) -> dict[str, str]:
        """Return what was done, for the record."""
        return {
            "accelerate": self.mode,
            "precision": self.precision,
            "device": str(self.device),
            **PLAIN,
            **{lever.fact: lever.name for lever in self.levers},
            **({"dropped": self.note} if self.dropped else {}),
            "model": "compiled" if self.compiled else "as built",
        }

    @property
    def note(self) -> str:
        """What was dropped and why, for people to read; empty if nothing was."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.dropped.items())

    def as_recorded(self, facts: Mapping[str, str], *, num_threads: int) -> Acceleration:
        """Return the acceleration of an interrupted trial, if this device can go on with it."""
        if torch.device(facts["device"]).type != self.device.type:
            return self
        return replace(
            self,
            mode="off" if facts["accelerate"] == "off" else "auto",
            levers=recorded(facts),
            compiled=facts["model"] == "compiled",
            num_threads=num_threads,
        )


def accelerate(
    device: torch.device, precision: Precision, *, mode: Accelerate = "auto", compiled: bool = False
) -> Acceleration:
    """Return how to compute on this device, or raise :class:`DeviceError` for a precision that it cannot do."""
    possible = possible_precisions(device)
    if precision not in possible:
        raise DeviceError(f"precision {precision} is not possible on {device}", hint=f"it can do {', '.join(possible)}")
    target = ComputeTarget(device.type, instruction_set(), precision, is_compiled=compiled)
    levers = for_target(target) if mode == "auto" else ()
    return Acceleration(device, precision, mode, levers, compiled=compiled)
