"""Weights from a file, into a network with another number of classes or channels."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import benchbench as bb
from benchbench.errors import listed
from benchbench.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys under which training programs put the weights beside other things."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel and averages, torch.compile, and Lightning put in front of names, alone or together."""

MAX_NAMED = 3

OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
"""What torchvision's published weights of DenseNets are called: ``norm.1`` is ``norm1`` today."""


def sha256_of(path: str) -> str:
    """Return the digest of a file; raises :class:`~benchbench.SpecError` if it cannot be read."""
    try:
        facts = expanded(path).stat()
        return _sha256(expanded(path), facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise bb.SpecError(
            f"the weights in {path} cannot be read: {error.strerror}", hint="paths are relative to the working folder"
        ) from error


@lru_cache
def _sha256(path: Path, _changed_ns: int, _num_bytes: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_weights(network: nn.Module, weights: Mapping[str, Tensor], *, head: Sequence[nn.Module], source: str) -> None:
    """Give a network weights, but for those of a head of another size, which stay fresh; errors name their ``source``.

    Weights of a first convolution on another number of channels are converted. Raises :class:`~benchbench.SpecError`
    if they are not all weights of the network, or have more layers than the network, such as those of a deeper one.
    """
    weights = {OLD_NAMES.sub(r"\1", name): value for name, value in weights.items()}
    of_head = _names_of_head(network, head)
    first = _first_convolution(network)
    states = network.state_dict()
    problems = []
    for name, value in states.items():
        stored = weights.get(name)
        if stored is not None and name == first and stored.shape != value.shape:
            stored = _with_channels(stored, value.shape[1])
        if stored is not None and stored.shape == value.shape:
            states[name] = stored
        elif name not in of_head and not name.endswith("num_batches_tracked"):
            problems.append(
                f"{name} is {_shape(stored)} and not {_shape(value)}" if stored is not None else f"no {name}"
            )
    problems += [f"{name} has no place in it" for name in _left_over(network, weights, head)]
    if problems:
        raise bb.SpecError(
            f"the weights in {source} are not those of this network: {listed(problems, MAX_NAMED)}",
            hint="architecture and options must be those that the weights were trained with",
        )
    network.load_state_dict(states)


def read_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a network in a file, without what programs put in front of their names.

    Nothing is unpickled. Raises :class:`~benchbench.SpecError` if the file cannot be read.
    """
    path = expanded(name)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file, or one that holds objects, makes torch raise many kinds
        reason = str(error).partition("\n")[0]
        raise bb.SpecError(
            f"the weights in {path} cannot be read: {type(error).__name__}: {reason}",
            hint="save them with torch.save(model.state_dict(), path), or as safetensors",
        ) from error
    content = _tested_weights(content) or content
    for key in (*WRAPPERS, *WRAPPERS):
        inner = content.get(key) if isinstance(content, dict) else None
        content = inner if isinstance(inner, dict) else content
    tensors = {name: value for name, value in dict(content).items() if isinstance(value, torch.Tensor)}
    return _unwrapped(tensors, set(network.state_dict()))


def _unwrapped(tensors: dict[str, Tensor], own_names: set[str]) -> dict[str, Tensor]:
    """Return the weights under the network's own names, without what else is beside them, such as a loss's weights."""
    if not own_names.isdisjoint(tensors):
        return tensors
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if inside:
            return _unwrapped(inside, own_names)
    return tensors


def _tested_weights(content: Any) -> Any:
    """Return, of a trial's checkpoint, the weights that are tested at its end: the best, the average, or the last."""
    states = content.get("states") if isinstance(content, dict) else None
    if not isinstance(states, dict):
        return None
    best = states.get("best") or {}
    return best.get("weights") or states.get("average") or states.get("model")


def _names_of_head(network: nn.Module, head: Sequence[nn.Module]) -> set[str]:
    ids = {id(parameter) for layer in head for parameter in layer.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in ids}


def _left_over(network: nn.Module, weights: Mapping[str, Tensor], head: Sequence[nn.Module]) -> list[str]:
    """Return the weights of layers that a part of the network does not have, as if they were of a deeper one.

    Parts that it does not have at all, such as auxiliary outputs, and another head are left out.
    """
    ids = {id(layer) for layer in head}
    parts = {name.partition(".")[0] for name, _ in network.named_parameters()}
    parts -= {name.partition(".")[0] for name, layer in network.named_modules() if id(layer) in ids}
    known = network.state_dict()
    return [
        name
        for name in weights
        if name not in known and name.endswith((".weight", ".bias")) and name.partition(".")[0] in parts
    ]


def _first_convolution(network: nn.Module) -> str:
    return next((f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), "")


def _with_channels(weight: Tensor, num_channels: int) -> Tensor:
    """Return the weight of a convolution of another number of channels, with outputs of the same size.

    Gray images see the sum over the channels, as in timm; others see the channels again and again, scaled.
    """
    if num_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeats = -(-num_channels // weight.shape[1])
    return weight.repeat(1, repeats, 1, 1)[:, :num_channels] * (weight.shape[1] / num_channels)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
