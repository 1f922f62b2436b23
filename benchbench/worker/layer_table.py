"""The layers of a network with their outputs, parameters and multiply-adds, recorded while an image passes."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

WHOLE = "(network)"
"""The name of the row for what the network computes outside of its layers."""


@dataclass(frozen=True)
class Layer:
    """A layer by its name in the network.

    output: its shape without the batch, empty for one that no image passes or that gives no tensor. parameters:
    those that no layer above it in the list has. multiply_adds: of its matrix products and convolutions, for one
    image.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def list_layers(model: nn.Module, image: Tensor) -> list[Layer]:
    """Return the layers in the order in which an image passes them, then those that it does not pass.

    image: float32 ``[1, C, H, W]``. Every parameter and multiply-add of the network is in exactly one row. Weights,
    buffers and random generators are left as they are. Raises whatever a model raises that needs real numbers to pass
    an image.
    """
    outputs: dict[str, tuple[int, ...]] = {}
    names = dict(model.named_modules())
    multiply_adds = _pass(model, image, names, outputs)
    order = dict.fromkeys([*(name for name in outputs if name), *names])
    own = _Own(multiply_adds)
    rows = [own.layer(name, names[name], outputs.get(name, ())) for name in order]
    return [row for row in rows if row.parameters or row.multiply_adds or _is_leaf(names.get(row.name, model))]


def _pass(
    model: nn.Module, image: Tensor, names: dict[str, nn.Module], outputs: dict[str, tuple[int, ...]]
) -> dict[str, int]:
    """Fill in the outputs and return the multiply-adds of each module, including those of its submodules."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def note(name: str, output: object) -> None:
        outputs[name] = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()

    # On the meta device nothing is computed and nothing that the model keeps is touched.
    state = {
        name: torch.empty_like(value, device="meta")
        for name, value in (*model.named_parameters(), *model.named_buffers())
    }
    with ExitStack() as stack:
        for name, module in names.items():
            hook = module.register_forward_hook(lambda _module, _input, output, name=name: note(name, output))
            stack.callback(hook.remove)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_eval_mode(names.values()))
        counter = stack.enter_context(FlopCounterMode(display=False))
        torch.func.functional_call(model, state, (image.to("meta"),))
    root = type(model).__name__
    # A multiply-add is two floating point operations.
    counts = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    return {name: counts.get(f"{root}.{name}" if name else root, 0) for name in names}


@dataclass
class _Own:
    """Splits parameters and multiply-adds among modules: each parameter counts once, for the first that has it."""

    multiply_adds: dict[str, int]
    seen: set[int] = field(default_factory=set)

    def layer(self, name: str, module: nn.Module, output: tuple[int, ...]) -> Layer:
        inner = Counter(self.multiply_adds[f"{name}.{child}".lstrip(".")] for child, _ in module.named_children())
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in self.seen]
        self.seen.update(map(id, own))
        multiply_adds = self.multiply_adds[name] - sum(value * times for value, times in inner.items())
        num_parameters = sum(parameter.numel() for parameter in own)
        return Layer(name or WHOLE, type(module).__name__, output, num_parameters, multiply_adds)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


@contextmanager
def _eval_mode(modules: Iterable[nn.Module]) -> Iterator[None]:
    before = [(module, module.training) for module in modules]
    for module, _ in before:
        module.training = False
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training
