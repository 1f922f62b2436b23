"""What takes over single layers of any module while it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.overrides import TorchFunctionMode

from benchbench.worker.accelerate import constant_border, linear, winograd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from benchbench.worker.accelerate.lever import Layers
    from benchbench.worker.accelerate.linear_products import Products


class FastLayers(TorchFunctionMode):
    """While this context is entered, some layers are computed in another way; the layers themselves do not change.

    With ``products``, :func:`torch.nn.functional.linear` takes those that fit it, in fp32 also under autocast: the
    weights would have to be read and written once more to be converted. The gradients of the ``factored`` weights are
    computed only if somebody looks at them. ``with_winograd``, Winograd's algorithm computes convolutions of 3x3.

    With ``window``, convolutions of ``images`` are taken apart: of this very tensor, which needs no gradient, and of
    nothing that a model makes of it.

    If hooks take what is saved for the backward pass, all is left to torch: activation checkpointing computes it again
    after this context has ended, and wants the same tensors. The same holds inside ``torch.func`` and in
    forward-mode differentiation, which autograd functions do not support, and in what a model compiles by itself, so
    that its graphs stay whole.
    """

    def __init__(
        self,
        layers: Layers,
        images: Tensor | None = None,
        *,
        is_mixed: bool = False,
    ) -> None:
        super().__init__()
        self._layers = layers
        self._is_mixed = is_mixed
        self._images = None if images is None or layers.window is None or images.is_inference() else images
        self._version = 0 if self._images is None else _version(self._images)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a layer here, or have torch do whatever it is."""
        if func not in _LAYERS or _is_transformed() or not _PLAIN.issuperset(types):
            return func(*args, **(kwargs or {}))
        if func is F.linear and self._layers.products is not None:
            return self._linear(self._layers.products, *args, **(kwargs or {}))
        if func is F.conv2d:
            return self._conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, products: Products, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        if not products.is_large(weight) or input.ndim != 2:  # noqa: PLR2004 - [N, I]
            return F.linear(input, weight, bias)
        is_mixed = torch.is_autocast_enabled("cpu")
        if is_mixed and not self._is_mixed:  # a region of the model's own, which asks for another precision
            return F.linear(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            x = input.float() if is_mixed else input
            if products.fits(x, weight, bias):
                is_factored = any(weight is other for other in self._layers.factored)
                return linear.linear(x, weight, bias, products, factored=is_factored)
            return F.linear(x, weight, bias)

    def _conv2d(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        if groups != 1 or dilation not in (1, (1, 1)):
            return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
        window = self._layers.window
        if window is not None and self._is_as_given(input):
            bordered = constant_border.conv2d(
                input, window, weight, bias, stride=stride, padding=padding, convolve=self._convolved
            )
            if bordered is not None:
                return bordered
        return self._convolved(input, weight, bias, stride, padding)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any = 0) -> Tensor:
        is_open = self._layers.with_winograd and not torch.is_autocast_enabled("cpu")
        if is_open and winograd.fits(x, weight, stride=stride, padding=padding):
            return winograd.conv2d(x, weight, bias)
        return F.conv2d(x, weight, bias, stride, padding)

    def _is_as_given(self, images: Tensor) -> bool:
        """Tell whether these are the trial's images, unchanged, and no gradient is computed for them."""
        return images is self._images and not images.requires_grad and _version(images) == self._version


_PLAIN = frozenset((torch.Tensor, nn.Parameter))
"""Types of tensors; others have rules of their own."""

_LAYERS = (F.linear, F.conv2d)


def _is_transformed() -> bool:
    """Tell whether something takes saved tensors elsewhere, differentiates otherwise than backward, or compiles."""
    if torch.compiler.is_compiling():  # first: Dynamo cannot trace what follows
        return True
    # Nothing public tells any of these.
    has_hooks = torch._C._autograd._top_saved_tensors_default_hooks(False) is not None  # noqa: SLF001
    is_functional = torch._C._functorch.peek_interpreter_stack() is not None  # noqa: SLF001
    return has_hooks or is_functional or forward_ad._current_level >= 0  # noqa: SLF001


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place."""
    return tensor._version  # noqa: SLF001 - the only way to ask, and what the autograd notes of torch's docs name
