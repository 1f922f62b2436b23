"""A contact sheet: some images of each split, as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchbench.config.composition import NOTHING
from benchbench.data.fit import pad_or_crop
from benchbench.data.kept_images import SeenImages
from benchbench.data.split_arrays import SPLIT_NAMES, SplitArrays
from benchbench.report.kept_files import damage_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

COLUMNS = 10
MIN_SIDE, MAX_SIDE = 64, 160
"""The range of an image's side on the sheet: smaller images are enlarged by a whole factor, larger ones shrunk."""

MARGIN = 8
CAPTION, HEADING = 16, 32
TEXT_SIZE, HEADING_SIZE = 11, 16
PAPER, INK = "white", "black"
CHANNELS_OF_COLOR = 3


def draw_sheet(images: Mapping[str, SplitArrays], class_names: Sequence[str], *, image_size: int) -> Image.Image:
    """Return a sheet of images below their headings, cut or padded to ``image_size``, each with its class."""
    strips = [_strip(heading, split, class_names, image_size) for heading, split in images.items()]
    sheet = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


@dataclass(frozen=True)
class SeenSheets:
    """A sheet of the images of each split, and the names of classes that are numbers on them, by caption."""

    sheets: dict[str, Image.Image]
    numbered: dict[str, str]


def draw_seen(path: Path, *, augmentation: str, split_names: Sequence[str] = SPLIT_NAMES) -> SeenSheets:
    """Return sheets of the images of some splits in ``seen.npz``; older files have training images alone."""
    augmented = "" if augmentation == NOTHING else f", augmented by {augmentation}"
    headings = {"train": f"training images{augmented}", "val": "validation images", "test": "test images"}
    with damage_named(path):
        seen = SeenImages.load(path, split_names)
        return SeenSheets(
            {
                split_name: draw_sheet(
                    {headings[split_name]: split}, seen.class_names, image_size=split.images.shape[2]
                )
                for split_name, split in seen.splits.items()
            },
            names_of_numbered(seen.splits.values(), seen.class_names),
        )


def names_of_numbered(splits: Iterable[SplitArrays], class_names: Sequence[str]) -> dict[str, str]:
    """Return the names of classes that are numbers on a sheet of these images, by caption."""
    labels = np.concatenate([split.labels for split in splits])
    return {caption: class_names[label] for label, caption in _numbered_classes(labels, class_names).items()}


def _numbered_classes(labels: NDArray[np.int64], class_names: Sequence[str]) -> dict[int, str]:
    """Return captions such as ``class 3``, by label, of classes whose names the font cannot write.

    It has no Chinese, Japanese or Korean, for example, and no emoji: their names would all be the same boxes.
    """
    glyphs = _glyphs()
    return {
        label: f"class {label}"
        for label in np.unique(labels).tolist()
        if not all(ord(letter) in glyphs for letter in _on_one_line(class_names[label]))
    }


def picked(split: SplitArrays, num_images: int) -> SplitArrays:
    """Return ``num_images`` images of a split, taking the classes in turn."""
    rows = pick_rows(split.labels, num_images)
    return SplitArrays(np.asarray(split.images[rows]), split.labels[rows])


def pick_rows(labels: NDArray[np.int64], number: int) -> list[int]:
    """Return so many rows: the first image of each class, then the second of each, and so on."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    order = np.lexsort((labels, rank))
    return [int(row) for row in order[:number]]


def _strip(heading: str, images: SplitArrays, class_names: Sequence[str], image_size: int) -> Image.Image:
    side = _shown_side(image_size)
    width, height = side + MARGIN, side + CAPTION + MARGIN
    lines = -(-len(images) // COLUMNS)
    strip = Image.new("RGB", (MARGIN + COLUMNS * width, HEADING + lines * height), PAPER)
    pen = ImageDraw.Draw(strip)
    numbered = _numbered_classes(images.labels, class_names)
    pen.text((MARGIN, MARGIN), heading, fill=INK, font=_font(HEADING_SIZE))
    for number, label in enumerate(images.labels):
        left, top = MARGIN + number % COLUMNS * width, HEADING + number // COLUMNS * height
        image = as_image(pad_or_crop(images.images[number : number + 1], image_size)[0])
        method = Image.Resampling.NEAREST if side > image_size else Image.Resampling.LANCZOS
        strip.paste(image.resize((side, side), method), (left, top))
        caption = _shortened(numbered.get(label) or class_names[label], pen, side)
        pen.text((left, top + side + 1), caption, fill=INK, font=_font(TEXT_SIZE))
    return strip


def _shown_side(image_size: int) -> int:
    enlarged = image_size * -(-MIN_SIDE // image_size)
    return min(max(image_size, enlarged), MAX_SIDE)


def as_image(image: NDArray[np.uint8]) -> Image.Image:
    """Return an image of three channels in color, and the first channel of any other in gray."""
    is_color = len(image) == CHANNELS_OF_COLOR
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)) if is_color else image[0].copy())


def _shortened(text: str, pen: ImageDraw.ImageDraw, width: int) -> str:
    text = _on_one_line(text)
    if pen.textlength(text, font=_font(TEXT_SIZE)) <= width:
        return text
    while text and pen.textlength(f"{text}…", font=_font(TEXT_SIZE)) > width:
        text = text[:-1]
    return f"{text}…"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(), size)


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points that the font can draw."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(_font_file())).get_charmap())


def _font_file() -> Path:
    import matplotlib as mpl  # its font has letters of more languages than Pillow's own

    return Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
