"""A checked split as arrays, with names that every file can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

SPLIT_NAMES = ("train", "val", "test")
"""The splits of every dataset, in their order."""


@dataclass(frozen=True)
class SplitArrays:
    """One checked split. images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: N image names, or none."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def readable(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as every file can hold them: bytes of a file's name that are no UTF-8 are written in hexadecimal."""
    return tuple(
        name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") if _has_bytes(name) else name
        for name in names
    )


def _has_bytes(name: object) -> bool:
    """Tell whether a name is a text with bytes that are not UTF-8; a plugin's names may have any type."""
    return isinstance(name, str) and not name.isascii() and any("\udc80" <= letter <= "\udcff" for letter in name)
