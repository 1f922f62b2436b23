"""The levers: small objects, each of which makes a step faster and changes how it is computed, not what.

Which of them a device gets was measured for each instruction set (docs/benchmarks.md). Whether one fits a trial
follows from device, precision, shapes and types alone, never from a timing, so that a spec computes the same numbers
every time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from benchbench.worker.accelerate import optimizers, winograd, winograd_5x5
from benchbench.worker.accelerate.layers import FastLayers
from benchbench.worker.accelerate.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.worker.batches import Window


@dataclass(frozen=True)
class Case:
    """What a lever may look at, and act on: a trial before its first step.

    ``window`` is where the images of all splits may differ, if they have a constant border. ``clips_gradients``: the
    step needs the norm of all gradients before it.
    """

    model: nn.Module
    optimizer: Optimizer
    batch_size: int
    window: Window | None = None
    clips_gradients: bool = False


@dataclass(frozen=True)
class Layers:
    """How layers are computed while a model runs: the arguments of :class:`FastLayers`, or none of it."""

    settings: dict[str, Any] = field(default_factory=dict)
    window: Window | None = None

    def using(self, **settings: Any) -> Layers:
        """Return the same with some settings more."""
        return replace(self, settings=self.settings | settings)

    def context(self, images: Tensor | None) -> FastLayers | None:
        """Return the context for these images, if there is anything to do in one."""
        if not self.settings and self.window is None:
            return None
        return FastLayers(images=images, window=self.window, **self.settings)


class Lever(ABC):
    """One way to make a step faster.

    ``fact`` is the entry of a record's acceleration that tells of it, and ``name`` what that says. Of two for the same
    fact the later is used. It may need another lever, known by its fact.
    """

    fact: ClassVar[str]
    needs: ClassVar[str] = ""
    name: str

    @abstractmethod
    def fits(self, case: Case) -> bool:
        """Tell whether there is anything in this trial to be made faster."""

    @abstractmethod
    def apply(self, case: Case, layers: Layers) -> Layers:
        """Change the model or the optimizer in place, or return how layers are computed from now on."""

    def is_recorded(self, facts: Mapping[str, str]) -> bool:
        """Tell whether a trial with these facts in its record was accelerated so."""
        return facts[self.fact] == self.name


@dataclass(frozen=True)
class ChannelsLast(Lever):
    """Images and weights of convolutions with channels last in memory, as oneDNN and cuDNN compute bf16 faster."""

    fact = "memory_format"
    name = "channels_last"

    def fits(self, case: Case) -> bool:
        """Tell whether a model has convolutions."""
        return any(True for _ in _convolution_weights(case.model))

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Reorder the weights of convolutions; the parameters stay the same objects."""
        for weight in _convolution_weights(case.model):
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return layers


@dataclass(frozen=True)
class LinearProducts(Lever):
    """Products of large linear layers that read their weights as fast as memory gives them."""

    name: str
    fact = "linear"

    def fits(self, case: Case) -> bool:
        """Tell whether full batches of a layer are computed so."""
        return bool(_large_weights(case, self.name))

    def apply(self, case: Case, layers: Layers) -> Layers:  # noqa: ARG002 - the same for all levers
        """Compute large layers so."""
        return layers.using(products=PRODUCTS[self.name])


@dataclass(frozen=True)
class SharedBorder(Lever):
    """The constant border around small images, convolved once for all images of a batch."""

    fact = "border"
    name = "once for all images"

    def fits(self, case: Case) -> bool:
        """Tell whether images have a border and something convolves them."""
        has_convolutions = any(isinstance(layer, nn.Conv2d) for layer in case.model.modules())
        return has_convolutions and case.window is not None and case.window.has_border

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Tell convolutions where images may differ."""
        return replace(layers, window=case.window)


@dataclass(frozen=True)
class Winograd(Lever):
    """Convolutions of many channels with fewer multiplications, for processors that multiply slowly."""

    fact = "convolutions"
    name = "winograd"

    def fits(self, case: Case) -> bool:
        """Tell whether a layer is wide enough."""
        return any(map(_has_winograd, case.model.modules()))

    def apply(self, case: Case, layers: Layers) -> Layers:  # noqa: ARG002
        """Compute wide convolutions so."""
        return layers.using(with_winograd=True)


@dataclass(frozen=True)
class FusedSteps(Lever):
    """Steps of the optimizer that read and write weights and states once."""

    fact = "optimizer"
    name = "fused"

    def fits(self, case: Case) -> bool:
        """Tell whether the optimizer has fused steps."""
        return optimizers.can_fuse(case.optimizer)

    def is_recorded(self, facts: Mapping[str, str]) -> bool:
        """Tell whether steps were fused, or better than that."""
        return facts[self.fact] in (self.name, StepsInPlace.name)

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Have all steps fused that can be."""
        optimizers.fuse(case.optimizer)
        return layers


@dataclass(frozen=True)
class StepsInPlace(Lever):
    """Fused steps that never write the gradients of large linear layers: a few rows at a time are computed and used."""

    products: str
    fact = "optimizer"
    needs = "linear"
    name = "in place"

    def fits(self, case: Case) -> bool:
        """Tell whether the optimizer needs no gradients of large weights."""
        is_open = optimizers.can_fuse(case.optimizer) and optimizers.can_update_in_place(case.optimizer)
        return is_open and not case.clips_gradients and bool(self._weights(case))

    def apply(self, case: Case, layers: Layers) -> Layers:
        """Leave the gradients of large weights to the steps."""
        optimizers.fuse(case.optimizer, PRODUCTS[self.products])
        return layers.using(factored=self._weights(case))

    def _weights(self, case: Case) -> list[Tensor]:
        return optimizers.own_weights(case.optimizer, _large_weights(case, self.products))


def _plain_weights(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[Tensor]:
    """Yield weights that belong to a layer.

    Not as its attribute: what computes a weight, such as ``weight_norm``, computes a new one each time.
    """
    for layer in model.modules():
        weight = layer._parameters.get("weight") if isinstance(layer, kinds) else None  # noqa: SLF001 - nothing public is so cheap
        if type(weight) is nn.Parameter and weight.layout is torch.strided:
            yield weight


def _convolution_weights(model: nn.Module) -> Iterator[Tensor]:
    return _plain_weights(model, (nn.Conv2d, nn.ConvTranspose2d))


def _large_weights(case: Case, products: str) -> list[Tensor]:
    chosen = PRODUCTS[products]
    if not 1 < case.batch_size <= chosen.max_batch:
        return []
    return [weight for weight in _plain_weights(case.model, (nn.Linear,)) if chosen.is_large(weight)]


def _has_winograd(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or layer.dilation != (1, 1):
        return False
    shape = {"stride": layer.stride, "padding": layer.padding}
    weights = _plain_weights(layer, (nn.Conv2d,))
    return any(winograd.has_shape(weight, **shape) or winograd_5x5.has_shape(weight, **shape) for weight in weights)
