"""What ``torch.compile`` did in a trial, for its record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RECOMPILE_LIMIT, ACCUMULATED_RECOMPILE_LIMIT = 8, 256
"""Torch's own defaults."""


def forget_compiled() -> None:
    """Forget what earlier trials compiled: torch silently stops compiling after a few variants of a function."""
    if _is_loaded():
        import torch
        from torch._dynamo.utils import counters

        torch.compiler.reset()
        counters.clear()


def allow_variants(number: int) -> None:
    """Have torch compile as many variants of a function for each of several networks as it does for one.

    All networks of a class share the code of its forward(). Without Dynamo, nothing was compiled yet.
    """
    if _is_loaded():
        from torch._dynamo import config

        config.recompile_limit = RECOMPILE_LIMIT * number
        config.accumulated_recompile_limit = ACCUMULATED_RECOMPILE_LIMIT * number


def describe_compiled() -> str:
    """Return what was compiled since :func:`forget_compiled`, such as ``torch.compile made 2 graphs``; or nothing.

    A plugin may compile a network of its own.
    """
    if not _is_loaded():
        return ""
    from torch._dynamo.utils import counters

    return describe(counters) if counters.get("frames") else ""


def _is_loaded() -> bool:
    """Tell whether Dynamo is loaded, which takes seconds: nothing was compiled without it."""
    return "torch._dynamo.utils" in sys.modules


def describe(counters: Mapping[str, Mapping[str, int]]) -> str:
    """Return what Dynamo's counters say."""
    num_graphs = counters.get("stats", {}).get("unique_graphs", 0)
    num_breaks = sum(counters.get("graph_break", {}).values())
    frames = counters.get("frames", {})
    num_plain = frames.get("total", 0) - frames.get("ok", 0)
    parts = [f"torch.compile made {num_graphs} graph{'' if num_graphs == 1 else 's'}"]
    if num_breaks:
        parts.append(f"with {num_breaks} graph break{'' if num_breaks == 1 else 's'}")
    if num_plain:
        parts.append(f"and left {num_plain} function{'' if num_plain == 1 else 's'} to Python")
    return " ".join(parts)
