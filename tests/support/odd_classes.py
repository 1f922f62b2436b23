"""Classes whose names are hard to write, and images of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

ODD_CLASSES = ("a/b", "a b", "x\u2028y", "\N{DOG FACE}", 'say "hi", twice', "\u732b", "собака", "<b>bold</b> & co")
"""Two of them have equal metric names, but for a number, and one is left with no letter at all."""


def write_images(folder: Path) -> Path:
    """Write eight images of each class, and return the list for the dataset ``imagelist``."""
    lines = ["path,class"]
    for number, name in enumerate(ODD_CLASSES):
        for row in range(8):
            path = folder / f"{number}-{row}.png"
            Image.linear_gradient("L").rotate(45 * number + 3 * row).resize((8, 8)).save(path)
            quoted = name.replace('"', '""')
            lines.append(f'{path.name},"{quoted}"')
    (folder / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "list.csv"
