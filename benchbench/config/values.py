"""Values of specs as text, as a user types them, and whether a spec has the values that were asked for."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from benchbench.config.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from benchbench.config.spec import Spec


def describe_values(flat: Mapping[str, JsonValue], keys: Iterable[str]) -> str:
    """Return ``optimizer.lr=0.001 seed=0`` for these keys of a table of values, without those that it does not have."""
    return " ".join(f"{key}={value_text(flat[key])}" for key in keys if key in flat)


def value_text(value: JsonValue) -> str:
    """Return a value as a user types it: text without quotes, None as ``none``, and tables as TOML has them."""
    if value is None:
        return "none"
    return value if value and isinstance(value, str) else _toml_text(value)


def _toml_text(value: JsonValue) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml_key(key)} = {_toml_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_text, value))}]"
    is_endless = isinstance(value, float) and not math.isfinite(value)
    return str(value) if is_endless else json.dumps(value, default=str)  # a file of TOML may have dates


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def is_match(spec: Spec, where: Mapping[str, JsonValue]) -> bool:
    """Tell whether the spec has all these values; ``"none"`` matches None, which TOML cannot write.

    A plugin's name with its package, ``package:name``, matches the name alone: that is what a spec has if no other
    package has the same.
    """
    flat = spec.flat()
    return all(key in flat and is_value(key, flat[key], value) for key, value in where.items())


def is_value(key: str, own: JsonValue, asked: JsonValue) -> bool:
    """Tell whether the value of a key is the one that was asked for, as :func:`is_match` does."""
    if own == asked or (own is None and asked == "none"):
        return True
    return key in KINDS and isinstance(asked, str) and own == re.sub(r"[^:+]+:", "", asked)
