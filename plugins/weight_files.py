"""Weights from a file, into a network with another number of classes or channels."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

WRAPPERS = ("state_dict", "model", "model_state_dict", "states")
"""Keys under which training programs, this one too, put the weights beside other things."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put in front of names."""

MAX_NAMED = 3


def sha256_of(path: str) -> str:
    """Return the digest of a file; raises :class:`~benchbench.SpecError` if it cannot be read."""
    try:
        facts = Path(path).expanduser().stat()
        return _sha256(Path(path).expanduser(), facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise bb.SpecError(
            f"the weights in {path} cannot be read: {error.strerror}", hint="paths are relative to the working folder"
        ) from error


@lru_cache
def _sha256(path: Path, _changed_ns: int, _num_bytes: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(network: nn.Module, path: str, *, head: Sequence[nn.Module]) -> None:
    """Give a network the weights in a file, but for those of a head of another size, which stay fresh.

    Weights of a first convolution on another number of channels are converted. Nothing is unpickled. Raises
    :class:`~benchbench.SpecError` if the file cannot be read, or has not all weights of the network.
    """
    take_weights(network, _read(Path(path).expanduser()), head=head, source=path)


def take_weights(network: nn.Module, weights: Mapping[str, Tensor], *, head: Sequence[nn.Module], source: str) -> None:
    """Do the same with weights that were read already; ``source`` is named in errors."""
    of_head = _names_of_head(network, head)
    first = _first_convolution(network)
    wanted = network.state_dict()
    taken, missing = {}, []
    for name, value in wanted.items():
        given = weights.get(name)
        if given is not None and name == first and given.shape != value.shape:
            given = _with_channels(given, value.shape[1])
        if given is not None and given.shape == value.shape:
            taken[name] = given
        elif name not in of_head and not name.endswith("num_batches_tracked"):
            missing.append(f"{name} is {_shape(given)} and not {_shape(value)}" if given is not None else f"no {name}")
    if missing:
        more = f", and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise bb.SpecError(
            f"the weights in {source} are not those of this network: {', '.join(missing[:MAX_NAMED])}{more}",
            hint="architecture and options must be those that the weights were trained with",
        )
    network.load_state_dict(taken, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
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
    for key in (*WRAPPERS, *WRAPPERS):
        inner = content.get(key) if isinstance(content, dict) else None
        content = inner if isinstance(inner, dict) else content
    tensors = {name: value for name, value in dict(content).items() if isinstance(value, torch.Tensor)}
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _names_of_head(network: nn.Module, head: Sequence[nn.Module]) -> set[str]:
    ids = {id(parameter) for layer in head for parameter in layer.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in ids}


def _first_convolution(network: nn.Module) -> str:
    return next((f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), "")


def _with_channels(weight: Tensor, num_channels: int) -> Tensor:
    """Return the weight of a convolution of another number of channels, with outputs of the same size.

    Grey images see the sum over the channels, as in timm; others see the channels again and again, scaled.
    """
    if num_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeats = -(-num_channels // weight.shape[1])
    return weight.repeat(1, repeats, 1, 1)[:, :num_channels] * (weight.shape[1] / num_channels)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
