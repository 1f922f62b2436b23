"""An optimizer with parameters of every sort, and rules among them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

import benchbench as bb


class Mode(Enum):
    FAST = "fast"
    SAFE = "safe"


class Particular(bb.Optimizer, name="particular"):
    """Particular about its parameters."""

    low: float = bb.param(0.1, "must stay below high")
    high: float = bb.param(0.9, "must stay above low")
    even: int = bb.param(2, "an even number")
    depth: Literal[18, 34] = bb.param(18, "one of two numbers")
    mode: Mode = bb.param(Mode.SAFE, "fast or safe")
    milestones: tuple[int, ...] = bb.param((), "epochs")
    limit: int | None = bb.param(None, "may be none", ge=1)
    size: int | Literal["auto"] = bb.param("auto", "a number or auto")
    label: str = bb.param("", "any text")
    weights: bool | str = bb.param(True, "yes, no or a file")
    width: Annotated[int, Field(ge=1)] | float | str | None = bb.param(None, "a number or a name")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise bb.SpecError(f"low {self.low} is not below high {self.high}", hint="swap them")
        return self

    @field_validator("even")
    @classmethod
    def _check_even(cls, value: int) -> int:
        if value == 13:
            raise ZeroDivisionError("unlucky")
        if value % 2:
            raise ValueError("only even numbers will do")
        return value

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=self.low)


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    return [Particular]
