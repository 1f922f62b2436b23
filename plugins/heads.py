"""The last layer of a network, and everything else frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.nn.modules.batchnorm import _BatchNorm

    Base = _BatchNorm
else:
    Base = object


def head_of(network: nn.Module, num_classes: int) -> tuple[nn.Module, ...]:
    """Return the layers that compute the logits: what timm says, or the last layer of as many outputs as classes.

    Raises :class:`~benchbench.ModelError` if there is none.
    """
    layers = classifiers_of(network)
    if layers and all(any(True for _ in layer.parameters()) for layer in layers):
        return layers
    for layer in reversed(list(network.modules())):
        if isinstance(layer, nn.Linear | nn.Conv2d) and len(layer.weight) == num_classes:
            return (layer,)
    raise bb.ModelError(
        f"{type(network).__name__} has no last layer of {num_classes} outputs",
        hint='it can be trained with trainable = "all" and without a file of weights',
    )


def classifiers_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the layers that timm says compute the logits; none of a network that is not timm's.

    Some networks have two, and name the second one in their settings alone.
    """
    ask: Any = getattr(network, "get_classifier", tuple)
    classifier = ask()
    layers = classifier if isinstance(classifier, tuple | list) else (classifier,)
    settings = getattr(network, "pretrained_cfg", None)
    names = settings.get("classifier") if isinstance(settings, dict) else None
    named = [layer for name, layer in network.named_modules() if isinstance(names, tuple | list) and name in names]
    return tuple(dict.fromkeys((*layers, *named)))


def freeze_all_but(network: nn.Module, head: Sequence[nn.Module]) -> None:
    """Freeze all parameters but those of the head.

    Batch normalization outside of the head stays in eval mode also while the head trains, so that its running
    statistics stay those of the weights. Dropout and stochastic depth do not.
    """
    network.requires_grad_(False)
    for layer in head:
        layer.requires_grad_(True)
    inside = {id(module) for layer in head for module in layer.modules()}
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in inside:  # noqa: SLF001 - the base of all of them
            kind = type(module)
            module.__class__ = type(f"Frozen{kind.__name__}", (_StaysInEvalMode, kind), {"__module__": kind.__module__})
            module.eval()


class _StaysInEvalMode(Base):
    def train(self, mode: bool = True) -> Any:  # noqa: FBT001, FBT002 - as torch has it
        """Stay in eval mode."""
        return super().train(False)
