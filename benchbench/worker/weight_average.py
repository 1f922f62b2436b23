"""The moving average of a network's weights, which often generalises better than the network that is trained."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _NormBase

from benchbench.errors import ModelError
from benchbench.worker.seeds import buffers_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of all weights and running statistics, from the initial weights on.

    After each step it is ``decay * average + (1 - decay) * weights``. Running statistics are those of normalization;
    other buffers are copied, and so are weights that are not finite at the start: they have no mean.
    ``model`` is the averaged network; it is evaluated, and never trained.
    """

    def __init__(self, model: nn.Module, decay: float, *, has_means: Sequence[bool]) -> None:
        """Begin with the current weights; ``has_means`` is what :func:`have_means` returned before any training."""
        self.model = _copied(model).requires_grad_(False)
        self._decay = decay
        self._has_means = has_means

    def check_independence(self, model: nn.Module, images: Tensor) -> None:
        """Raise :class:`ModelError` if the average computes with weights of the ``model`` that it is a copy of.

        A function that the network keeps is not copied, and still uses the layers that it was made with.
        """
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        with buffers_kept(model), buffers_kept(self.model), torch.enable_grad():
            self.model.eval()
            logits = self.model(images)
        if logits.requires_grad and any(
            gradient is not None for gradient in torch.autograd.grad(logits.float().sum(), weights, allow_unused=True)
        ):
            raise ModelError(
                "ema_decay needs a copy of the network, but a copy still computes with layers of the original: the"
                " network keeps a function that uses them",
                hint="make the function a method, or leave ema_decay out",
            )

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the weights after a step."""
        triples = list(zip(self._has_means, _tensors(self.model), _tensors(model), strict=True))
        means = [(average, value) for has_mean, average, value in triples if has_mean]
        torch._foreach_lerp_([mean for mean, _ in means], [value for _, value in means], 1 - self._decay)
        for has_mean, average, value in triples:
            if not has_mean:
                average.copy_(value)


def have_means(model: nn.Module) -> list[bool]:
    """Tell for each weight and buffer of an untrained network whether it is averaged, and not copied.

    Averaged are weights, and the statistics of normalization. Of other buffers, such as the vectors of
    ``spectral_norm``, nobody knows what their mean would be.
    """
    statistics = {
        id(buffer)
        for layer in model.modules()
        if isinstance(layer, _NormBase)
        for buffer in (layer.running_mean, layer.running_var)
    }
    averaged = [*(True for _ in model.parameters()), *(id(buffer) in statistics for buffer in model.buffers())]
    return [
        is_averaged and tensor.is_floating_point() and bool(tensor.isfinite().all())
        for is_averaged, tensor in zip(averaged, _tensors(model), strict=True)
    ]


def _tensors(model: nn.Module) -> Iterable[Tensor]:
    tensors = chain(model.parameters(), model.buffers())
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors)


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:  # a stranger's network may refuse to be copied in any way
        raise ModelError(
            f"ema_decay needs a copy of the network, which cannot be copied: {error}", hint="leave ema_decay out"
        ) from error
