"""What a lever is: one way to make a step faster, which changes how it is computed, not what.

Whether one fits a trial follows from device, precision, shapes and types alone, never from a timing, so that a spec
computes the same numbers every time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor
    from torch.optim import Optimizer

    from benchbench.config.defaults import Precision
    from benchbench.worker.accelerate.linear_products import Products
    from benchbench.worker.batches import Window


@dataclass(frozen=True)
class ComputeTarget:
    """What a trial is computed on, and in. ``instructions`` are the CPU's, see :func:`.instruction_set`."""

    device_type: str
    instructions: str
    precision: Precision
    is_compiled: bool = False


@dataclass(frozen=True)
class Case:
    """What a lever may look at, and act on: a trial before its first step.

    ``window`` is where the images of all splits may differ, if they have a constant border. ``reads_gradients``: the
    trial reads all gradients before the step, as clipping does, so that none can be left to the step.
    """

    model: nn.Module
    optimizer: Optimizer
    batch_size: int
    window: Window | None = None
    reads_gradients: bool = False


@dataclass(frozen=True)
class Layers:
    """How layers are computed while a model runs; :class:`FastLayers` says what each of these does."""

    products: Products | None = None
    window: Window | None = None
    factored: tuple[Tensor, ...] = ()
    with_winograd: bool = False


class Lever(ABC):
    """One way to make a step faster.

    ``fact`` is the key in the record's ``acceleration``; ``name`` is its value if the lever is used, ``plain`` its
    value if not. If two levers share a ``fact``, the later one wins. ``needs`` is the ``fact`` of a lever that this one
    needs, and ``only_with`` the ``name`` of a lever without which this one is not used.
    """

    fact: ClassVar[str]
    plain: ClassVar[str] = "torch"
    needs: ClassVar[str] = ""
    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    """The order in memory that it wants images in."""

    name: str
    only_with: str = ""

    @classmethod
    @abstractmethod
    def for_target(cls, target: ComputeTarget) -> Self | None:
        """Return this lever if it is faster on such a target: docs/benchmarks.md has the measurements."""

    @classmethod
    def recorded(cls, facts: Mapping[str, str]) -> Self | None:
        """Return the lever that a trial with these facts in its record used."""
        return cls() if facts[cls.fact] == cls.name else None

    def is_alone(self, levers: Iterable[Lever]) -> bool:
        """Tell whether this lever is used only with another, and that one is not among these."""
        return bool(self.only_with) and all(other.name != self.only_with for other in levers)

    @abstractmethod
    def fits(self, case: Case) -> bool:
        """Tell whether there is anything in this trial to be made faster."""

    @abstractmethod
    def apply(self, case: Case, layers: Layers) -> Layers:
        """Change the model or the optimizer in place, or return how layers are computed from now on."""


def plain_weights(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[Tensor]:
    """Yield weights that belong to a layer of these kinds.

    Not as its attribute: what computes a weight, such as ``weight_norm``, computes a new one each time.
    """
    for layer in model.modules():
        weight = layer._parameters.get("weight") if isinstance(layer, kinds) else None  # noqa: SLF001 - nothing public is so cheap
        if type(weight) is nn.Parameter and weight.layout is torch.strided:
            yield weight


def alone_in_memory(weights: Iterable[Tensor], tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return those of the weights that fill their memory and share it with no other of the tensors."""
    storages = Counter(_storage(tensor) for tensor in tensors if tensor.layout is torch.strided)
    return [
        weight
        for weight in weights
        if storages[_storage(weight)] <= 1 and weight.untyped_storage().nbytes() == weight.nbytes
    ]


def _storage(tensor: Tensor) -> int:
    # Asking for an address counts as a write, which would copy memory that is copied on write.
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - nothing public tells
