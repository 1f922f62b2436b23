"""The layers of a network with their outputs, parameters and multiply-adds, recorded in a forward pass of one image."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

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
    buffers and random generators are left as they are. If a model needs real numbers in its forward pass, and not only
    shapes, whatever it raises is passed on.
    """
    names = dict(model.named_modules())
    passed = _pass(model, image, names)
    seen: set[int] = set()
    rows = []
    for name in dict.fromkeys([*(name for name in passed.outputs if name), *names]):
        # Each parameter counts once, for the first module that has it.
        own = [parameter for parameter in names[name].parameters(recurse=False) if id(parameter) not in seen]
        seen.update(map(id, own))
        num_parameters = sum(parameter.numel() for parameter in own)
        multiply_adds = passed.flops[name] // 2  # each is two floating point operations
        output = passed.outputs.get(name, ())
        rows.append(Layer(name or WHOLE, type(names[name]).__name__, output, num_parameters, multiply_adds))
    return [row for row in rows if row.parameters or row.multiply_adds or _is_leaf(names.get(row.name, model))]


class _Pass:
    """What modules do while an image passes: their outputs, and the floating point operations of their own.

    An operation is that of the innermost module which runs. A module with several parents is known by its first name.
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        self.outputs: dict[str, tuple[int, ...]] = {}
        self.flops: Counter[str] = Counter()
        self._counter = FlopCounterMode(display=False)
        self._counted = 0
        self._running = [""]

    def begin(self, name: str) -> None:
        self._count()
        self._running.append(name)

    def end(self, name: str, output: object) -> None:
        self._count()
        self._running.pop()
        self.outputs[name] = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()

    @contextmanager
    def counting(self) -> Iterator[None]:
        with self._counter:
            yield
        self._count()

    def _count(self) -> None:
        total = self._counter.get_total_flops()
        self.flops[self._running[-1]] += total - self._counted
        self._counted = total


def _pass(model: nn.Module, image: Tensor, names: dict[str, nn.Module]) -> _Pass:
    passed = _Pass()
    # On the meta device nothing is computed and nothing that the model keeps is touched.
    state = {
        name: torch.empty_like(value, device="meta")
        for name, value in (*model.named_parameters(), *model.named_buffers())
    }
    with ExitStack() as stack:
        for name, module in names.items():
            before = module.register_forward_pre_hook(lambda _module, _input, name=name: passed.begin(name))
            after = module.register_forward_hook(lambda _module, _input, output, name=name: passed.end(name, output))
            stack.callback(before.remove)
            stack.callback(after.remove)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_eval_mode(names.values()))
        stack.enter_context(passed.counting())
        torch.func.functional_call(model, state, (image.to("meta"),))
    return passed


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
