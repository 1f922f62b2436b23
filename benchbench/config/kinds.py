"""The kinds of plugin."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["dataset", "model", "optimizer", "scheduler"]
KINDS: tuple[Kind, ...] = get_args(Kind)
