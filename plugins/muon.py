"""Muon: K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024; computed by torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from benchbench_plugins.heads import classifiers_of
from pydantic import Field
from torch import nn

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Callable

Beta = Annotated[float, Field(ge=0, lt=1)]


class Muon(bb.Optimizer, name="muon", revision=3):
    """Orthogonal steps for the matrices of hidden layers; AdamW for everything else.

    Hidden matrices are the weights of linear layers and of attention. AdamW updates those that compute the logits, as
    K. Jordan proposes, and embeddings, positions and the kernels of convolutions. Needs torch 2.9.
    """

    lr: float = bb.param(0.001, "learning rate", gt=0)
    momentum: float = bb.param(0.95, "decay of the running mean of the gradient", ge=0, lt=1)
    nesterov: bool = bb.param(True, "use Nesterov momentum")
    weight_decay: float = bb.param(0.1, "fraction of a weight subtracted at each step, times the learning rate", ge=0)
    adjust_lr: Literal["match_rms_adamw", "original"] = bb.param(
        "match_rms_adamw",
        "scale steps to the size of AdamW's, so that one learning rate fits both, or as in the original",
    )
    adamw_lr: float | None = bb.param(None, "learning rate of everything else; none: the same", gt=0)
    adamw_betas: tuple[Beta, Beta] = bb.param((0.9, 0.999), "running means of everything else")
    adamw_weight_decay: float = bb.param(0.0, "weight decay of everything else", ge=0)

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return :class:`torch.optim.Muon` and :class:`torch.optim.AdamW` as one optimizer."""
        if not hasattr(torch.optim, "Muon"):
            raise bb.SpecError(
                f"muon needs torch 2.9, and this is {torch.__version__}",
                hint="pip install -U torch, or --optimizer adamw",
            )
        parameters = bb.trainable_parameters(model)
        hidden = _hidden_matrices(model)
        if not hidden:
            raise bb.SpecError(
                "muon: the model has no matrix to train in a hidden layer", hint="--optimizer adamw trains any model"
            )
        chosen = set(map(id, hidden))
        others = [parameter for parameter in parameters if id(parameter) not in chosen]
        muon = torch.optim.Muon(
            hidden,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            adjust_lr_fn=self.adjust_lr,
        )
        return Together(muon, self._adamw(others)) if others else muon

    def _adamw(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        rate, decay = self.adamw_lr or self.lr, self.adamw_weight_decay
        return torch.optim.AdamW(parameters, lr=rate, betas=self.adamw_betas, weight_decay=decay)


class Together(torch.optim.Optimizer):
    """Several optimizers as one, each with one group of parameters.

    Groups and states are those of this optimizer, as schedulers and checkpoints need them; the others use the same.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], defaults={})
        self._optimizers = optimizers

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step of each."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer, group in zip(self._optimizers, self.param_groups, strict=True):
            # Loading a state replaces both.
            optimizer.param_groups, optimizer.state = [group], self.state
            optimizer.step()
        return loss


def _hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    attention = [layer.in_proj_weight for layer in model.modules() if isinstance(layer, nn.MultiheadAttention)]
    classifiers = [layer for layer in classifiers_of(model) if isinstance(layer, nn.Linear)]
    heads = {id(layer.weight) for layer in (*layers[-1:], *classifiers)}
    matrices = {id(weight) for weight in (*(layer.weight for layer in layers), *attention)}
    parameters = bb.trainable_parameters(model)
    return [parameter for parameter in parameters if id(parameter) in matrices - heads]


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer Muon."""
    return [Muon]
