"""What takes over single layers of any module while it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from benchbench.worker.accelerate import constant_border, linear, winograd_3x3, winograd_5x5

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from torch import Tensor

    from benchbench.worker.accelerate.products import Products
    from benchbench.worker.batches import Window


class FastLayers(TorchFunctionMode):
    """While this context is entered, some layers are computed otherwise; they stay what they are.

    With ``products``, :func:`torch.nn.functional.linear` takes those that fit it, in fp32 also under autocast: the
    weights would have to be read and written once more to be converted. The gradients of the ``factored`` weights are
    computed only if somebody looks at them. ``with_winograd``, convolutions of 3x3 and 5x5 are computed so.

    With ``window``, convolutions of ``images`` are taken apart: of this very tensor and of what ReLU and pooling make
    of it, so that whatever else a model does to the images is safe. The gradient of what lies between two of them has
    that of all borders in the first image, so that :func:`torch.autograd.grad` of it raises.

    If hooks take what is saved for the backward pass, all is left to torch: activation checkpointing computes it again
    after this context has ended, and wants the same tensors. So it is inside of ``torch.func`` and in forward-mode
    differentiation, which autograd functions do not take part in.
    """

    def __init__(
        self,
        products: Products | None = None,
        images: Tensor | None = None,
        window: Window | None = None,
        *,
        factored: Collection[Tensor] = (),
        with_winograd: bool = False,
    ) -> None:
        super().__init__()
        self._products = products
        self._factored = factored
        self._winograd = with_winograd
        self._windows = WeakTensorKeyDictionary()
        if images is not None and window is not None and not images.requires_grad:
            self._follow(images, window)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a layer here, or have torch do whatever it is."""
        if func is torch.autograd.grad:
            self._refuse_shared(args[1])
        if func not in _LAYERS or not _PLAIN.issuperset(types) or _is_transformed():
            return func(*args, **(kwargs or {}))
        if func is F.linear and self._products is not None:
            return self._linear(self._products, *args, **(kwargs or {}))
        if func is F.conv2d:
            return self._conv2d(*args, **(kwargs or {}))
        if func is F.relu and self._windows:
            return self._relu(*args, **(kwargs or {}))
        if func is F.max_pool2d and self._windows:
            return self._max_pool2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, products: Products, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        if not products.is_large(weight) or input.ndim != 2:  # noqa: PLR2004 - [N, I]
            return F.linear(input, weight, bias)
        is_mixed = torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            x = input.float() if is_mixed else input
            if products.fits(x, weight, bias):
                is_factored = any(weight is other for other in self._factored)
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
        geometry = {"stride": stride, "padding": padding}
        window = self._window_of(input)
        if window is not None and not (self._winograd and winograd_3x3.fits(input, weight, **geometry)):
            bordered = constant_border.conv2d(input, window, weight, bias, **geometry, convolve=self._convolved)
            if bordered is not None:
                return self._follow(*bordered)
        return self._convolved(input, weight, bias, stride, padding)

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any = 0) -> Tensor:
        geometry = {"stride": stride, "padding": padding}
        if self._winograd and not torch.is_autocast_enabled("cpu"):
            if winograd_3x3.fits(x, weight, **geometry):
                return winograd_3x3.conv2d(x, weight, bias)
            if winograd_5x5.fits(x, weight, **geometry):
                return winograd_5x5.conv2d(x, weight, bias, padding=padding)
        return F.conv2d(x, weight, bias, stride, padding)

    def _relu(self, input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002, FBT001, FBT002 - as torch has it
        window = self._window_of(input)
        outputs = F.relu(input, inplace)
        return outputs if window is None else self._follow(outputs, window)

    def _max_pool2d(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: Any = False,  # noqa: FBT002 - as torch has it
        return_indices: Any = False,  # noqa: FBT002
    ) -> Any:
        outputs = F.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        window = self._window_of(input)
        if window is None or dilation not in (1, (1, 1)) or ceil_mode:
            return outputs
        pooled_window = constant_border.pooled(input, window, kernel_size, stride, padding)
        return outputs if pooled_window is None else self._follow(outputs, pooled_window)

    def _refuse_shared(self, inputs: Sequence[object]) -> None:
        """Raise if the gradient of what lies between two convolutions is asked for: the border's is in one image."""
        asked = [tensor for tensor in inputs if isinstance(tensor, torch.Tensor) and tensor in self._windows]
        if any(not tensor.is_leaf for tensor in asked):
            raise RuntimeError(
                "the gradient of an activation is asked for, but convolutions share the border of all images;"
                " --accelerate off computes each of its own"
            )

    def _follow(self, images: Tensor, window: Window) -> Tensor:
        if not images.is_inference():
            self._windows[images] = window, _version(images)
        return images

    def _window_of(self, images: Tensor) -> Window | None:
        """Return where these may differ, unless they were changed since, or someone wants the gradient of each."""
        window, version = self._windows.get(images, (None, 0))  # type: ignore[no-untyped-call]
        return window if window is not None and version == _version(images) and not _is_watched(images) else None


_PLAIN = frozenset((torch.Tensor, nn.Parameter))
"""Types of tensors; others have rules of their own."""

_LAYERS = (F.linear, F.conv2d, F.relu, F.max_pool2d)


def _is_transformed() -> bool:
    """Tell whether something takes saved tensors elsewhere, or differentiates otherwise than backward."""
    # Nothing public tells any of these.
    has_hooks = torch._C._autograd._top_saved_tensors_default_hooks(False) is not None  # noqa: SLF001
    is_functional = torch._C._functorch.peek_interpreter_stack() is not None  # noqa: SLF001
    return has_hooks or is_functional or forward_ad._current_level >= 0  # noqa: SLF001


def _is_watched(tensor: Tensor) -> bool:
    is_asked = tensor.requires_grad and tensor.is_leaf
    return is_asked or tensor.retains_grad or bool(tensor._backward_hooks)  # noqa: SLF001 - the only way to ask


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place."""
    return tensor._version  # noqa: SLF001 - the only way to ask, and what the autograd notes of torch's docs name
