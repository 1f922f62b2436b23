"""In which layer of a network an error was raised."""

from __future__ import annotations

import traceback

from torch import nn


def failed_layer(error: BaseException) -> str:
    """Return such as `` in layer '1.0', Linear(...)``: the innermost layer, or "" if it is the network itself.

    A network of torch's own layers has no line of its author's that could be named instead.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [module for frame in frames if isinstance(module := frame.f_locals.get("self"), nn.Module)]
    names = _names_of_layers(modules[0]) if modules else {}
    layer = next((module for module in reversed(modules) if id(module) in names), None)
    if layer is None:
        return ""
    is_leaf_of_torch = type(layer).__module__.startswith("torch.nn.") and next(layer.children(), None) is None
    return f" in layer {names[id(layer)]!r}, {layer if is_leaf_of_torch else type(layer).__name__}"


def _names_of_layers(network: nn.Module) -> dict[int, str]:
    try:
        return {id(layer): name for name, layer in network.named_modules() if name}
    except AttributeError:  # of a layer that does not call super().__init__(), which may be the error itself
        return {}
