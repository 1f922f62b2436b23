"""What makes a step fast on a device, applied from outside, without changing what is computed.

::

    devices.py      which devices there are, and their precisions
    memory.py       the allocator, and the peak of a trial
    linear.py       products of large linear layers with small batches
    winograd.py     convolutions of 3x3
    winograd_5x5.py convolutions of 5x5
    border.py       convolutions of images with a constant border
    layers.py       what takes over these layers while a model computes
    optimizers.py   fused steps, and steps without gradients

Everything here follows from device, precision, instruction set, shapes and versions, never from a timing, so that the
same spec computes the same numbers every time. Modules keep their names, parameters and state. What was done stands in
the record, and a trial that is resumed goes on with it, on whatever machine.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchbench.errors import DeviceError
from benchbench.worker.accelerate import winograd, winograd_5x5
from benchbench.worker.accelerate.devices import available_devices, choose_device, device_name, possible_precisions
from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.linear import PRODUCTS
from benchbench.worker.accelerate.memory import give_back_memory, keep_freed_memory, peak_bytes, reset_peak
from benchbench.worker.accelerate.optimizers import InPlaceSGD, fuse, fuse_even_steps
from benchbench.worker.switches import put_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchbench.config.spec import Precision
    from benchbench.worker.batches import Window

__all__ = [
    "Acceleration",
    "accelerate",
    "available_devices",
    "choose_device",
    "device_name",
    "give_back_memory",
    "keep_freed_memory",
    "peak_bytes",
    "possible_precisions",
    "reset_peak",
]

_NUM_THREADS: int = torch.get_num_threads()
"""What torch chose when it was imported, before any plugin could change it."""


@dataclass(frozen=True)
class Acceleration:
    """How the steps of one trial are computed. Without more than its first two fields: as plain torch does it.

    ``linear`` names one of :data:`~benchbench.worker.accelerate.linear.PRODUCTS`, or nothing. ``sgd`` and ``window``
    are what ``in_place`` and ``bordered`` come to for one trial. ``num_threads`` are those of operators on the CPU.
    """

    device: torch.device
    precision: Precision
    linear: str = ""
    channels_last: bool = False
    fused: bool = False
    in_place: bool = False
    bordered: bool = False
    winograd: bool = False
    compiled: bool = False
    sgd: InPlaceSGD | None = None
    window: Window | None = None
    num_threads: int = _NUM_THREADS

    def apply(self) -> None:
        """Set torch's process-wide switches for this trial; all of them, so that none is left from the one before."""
        put_back(self.precision, num_threads=self.num_threads)

    @property
    def memory_format(self) -> torch.memory_format:
        """The order in memory of images and of convolutions' weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def model(self, model: nn.Module) -> nn.Module:
        """Return the module itself, on the device; an optimizer is made of its parameters after this."""
        model = model.to(self.device)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def fitted(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, batch_size: int, window: Window | None = None
    ) -> Acceleration:
        """Return what of this applies to a model and its optimizer, whose steps are fused from now on if they can be.

        ``window`` is where the images of all splits may differ, if they have a constant border.
        Where no layer fits, none is looked at in every step.
        """
        large = self._large_weights(model, batch_size=batch_size)
        fused = self.fused and fuse(optimizer, self.device)
        sgd = None
        if large and self.in_place and fused and InPlaceSGD.fits(optimizer):
            sgd = InPlaceSGD(optimizer, PRODUCTS[self.linear], large)
        if fused:
            fuse_even_steps(optimizer)
        has_convolutions = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
        bordered = self.bordered and has_convolutions and window is not None and window.has_border
        return replace(
            self,
            linear=self.linear if large else "",
            fused=fused,
            in_place=sgd is not None,
            bordered=bordered,
            winograd=self.winograd and any(map(_has_winograd, model.modules())),
            sgd=sgd,
            window=window if bordered else None,
        )

    def _large_weights(self, model: nn.Module, *, batch_size: int) -> list[torch.Tensor]:
        if not self.linear:
            return []
        products = PRODUCTS[self.linear]
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        return [layer.weight for layer in layers if products.fits_layer(layer, batch_size=batch_size)]

    def forward(self, model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what computes the logits of training batches."""
        if not self.compiled:
            return model
        mode = "reduce-overhead" if self.device.type == "cuda" else "default"
        return torch.compile(model, mode=mode)

    @contextmanager
    def context(self, images: torch.Tensor | None = None) -> Iterator[None]:
        """Give the context that a forward pass runs in, of these images if they are of the trial's dataset."""
        is_mixed = self.precision == "bf16"
        with (
            torch.autocast(self.device.type, dtype=torch.bfloat16) if is_mixed else nullcontext(),
            self._layers(images) if self.linear or self.bordered or self.winograd else nullcontext(),
        ):
            yield

    def _layers(self, images: torch.Tensor | None) -> FastLayers:
        if self.sgd is not None:
            self.sgd.drop()
        products = PRODUCTS.get(self.linear)
        return FastLayers(products, self.sgd, images, self.window, with_winograd=self.winograd)

    def synchronize(self) -> Callable[[], None]:
        """Return what waits until the device has done all that it was given."""
        if self.device.type == "cuda":
            return lambda: torch.cuda.synchronize(self.device)
        if self.device.type == "mps":
            return torch.mps.synchronize
        return lambda: None

    def facts(self) -> dict[str, str]:
        """Return what was done, for the record."""
        return {
            "precision": self.precision,
            "device": str(self.device),
            "linear": self.linear or "torch",
            "memory_format": "channels_last" if self.channels_last else "contiguous",
            "border": "once for all images" if self.bordered else "torch",
            "convolutions": "winograd" if self.winograd else "torch",
            "optimizer": "in place" if self.in_place else "fused" if self.fused else "as built",
            "model": "compiled" if self.compiled else "as built",
        }

    def as_recorded(self, facts: Mapping[str, str], *, num_threads: int) -> Acceleration:
        """Return the acceleration of an interrupted trial, where this device can go on with it."""
        if torch.device(facts["device"]).type != self.device.type:
            return self
        linear = facts["linear"]
        return replace(
            self,
            linear=linear if linear in PRODUCTS else "",
            channels_last=facts["memory_format"] == "channels_last",
            bordered=facts["border"] != "torch",
            winograd=facts["convolutions"] == "winograd",
            fused=facts["optimizer"] != "as built",
            in_place=facts["optimizer"] == "in place",
            compiled=facts["model"] == "compiled",
            num_threads=num_threads,
        )


def accelerate(device: torch.device, precision: Precision, *, compiled: bool = False) -> Acceleration:
    """Return how to compute on this device, or raise :class:`DeviceError` for a precision that it cannot do."""
    possible = possible_precisions(device)
    if precision not in possible:
        raise DeviceError(f"precision {precision} is not possible on {device}", hint=f"it can do {', '.join(possible)}")
    plain = Acceleration(device, precision, fused=device.type in ("cpu", "cuda"), compiled=compiled)
    if device.type != "cpu":
        return replace(plain, channels_last=device.type == "cuda")
    # Which of these wins was measured for each instruction set: docs/benchmarks.md.
    instructions = torch.backends.cpu.get_cpu_capability()
    # Channels last sum in another order: batch normalisation loses up to two digits, which only bf16 does not notice.
    plain = replace(plain, channels_last=instructions == "AVX512" and precision == "bf16")
    linear = {"AVX512": "images", "AVX2": "blocks"}.get(instructions, "")
    if compiled:
        return plain
    has_winograd = instructions == "AVX2" and precision == "fp32"
    return replace(plain, linear=linear, in_place=bool(linear), bordered=True, winograd=has_winograd)


def _has_winograd(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.dilation != (1, 1):
        return False
    how = {"stride": layer.stride, "padding": layer.padding}
    return winograd.has_shape(layer.weight, **how) or winograd_5x5.has_shape(layer.weight, **how)
