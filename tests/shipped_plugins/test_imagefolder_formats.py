"""What an image file of every format becomes: its colors, its orientation, its size."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.image_folders import BLUE, GREEN, RED, WHITE, pixels_of, save

from benchbench.data.image_decoding import decode
from benchbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MODES: dict[str, tuple[str, str, Any, tuple[int, int, int]]] = {
    "png": ("RGB", "x.png", GREEN, GREEN),
    "bmp": ("RGB", "x.bmp", GREEN, GREEN),
    "gif": ("P", "x.gif", 0, (0, 0, 0)),
    "webp": ("RGB", "x.webp", WHITE, WHITE),
    "tiff": ("RGB", "x.tiff", BLUE, BLUE),
    "greyscale": ("L", "x.png", 77, (77, 77, 77)),
    "black and white": ("1", "x.png", 1, WHITE),
    "16 bits": ("I;16", "x.png", 0x8080, (128, 128, 128)),
    "CMYK": ("CMYK", "x.tif", (0, 0, 0, 0), WHITE),
    "CMYK jpeg": ("CMYK", "x.jpg", (0, 0, 0, 0), WHITE),
    "of two lenses": ("RGB", "x.mpo", WHITE, WHITE),
    "opaque": ("RGBA", "x.png", (0, 0, 255, 255), BLUE),
    "transparent": ("RGBA", "x.png", (0, 0, 255, 0), (1, 2, 3)),
    "grey and transparent": ("LA", "x.png", (77, 0), (1, 2, 3)),
    "floats": ("F", "x.tif", 0.5, (127, 127, 127)),
}


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_every_format_becomes_rgb(tmp_path: Path, kind: str, fit: str) -> None:
    mode, name, color, expected = MODES[kind]
    path = save(tmp_path / name, color, size=(8, 8), mode=mode)
    found = pixels_of(path, fit=fit, background=(1, 2, 3))
    assert found.shape == (3, 8, 8)
    assert (found.flatten(1).float() - torch.tensor(expected)[:, None]).abs().max() <= 2


def test_bytes_that_were_saved_as_numbers_of_32_bits_are_not_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 200, dtype=np.int32)).save(tmp_path / "array.tiff")
    assert pixels_of(tmp_path / "array.tiff").unique().tolist() == [200]


@pytest.mark.parametrize(("largest", "white"), [(1.0, 255), (1.05, 255), (255.0, 255), (258.0, 255), (128.0, 128)])
def test_floating_point_numbers_are_0_to_1_or_0_to_255(tmp_path: Path, largest: float, white: int) -> None:
    Image.fromarray(np.array([[0, largest]], np.float32)).save(tmp_path / "x.tif")
    assert decode((tmp_path / "x.tif").read_bytes(), side=2, fit="pad", background=(0, 0, 0)).max() == white


@pytest.mark.parametrize("numbers", [[0.0, 4095.0], [-50.0, 50.0], [0.5, np.inf], [0.5, np.nan], [0, 70_000]])
def test_numbers_on_no_known_scale_are_refused(tmp_path: Path, numbers: list[float]) -> None:
    kind = np.int32 if isinstance(numbers[0], int) else np.float32
    Image.fromarray(np.array([numbers], kind)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match="its numbers"):
        decode((tmp_path / "x.tif").read_bytes(), side=2, fit="pad", background=WHITE)


def test_a_transparent_color_of_a_palette_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "x.png", transparency=0)
    assert pixels_of(tmp_path / "x.png", background=BLUE)[:, 0, 0].tolist() == list(BLUE)


def png(bits: int, color_type: int, row: bytes, transparent: bytes) -> bytes:
    """Return a PNG file of one row of two pixels, as Pillow does not write it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 2, 1, bits, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize(
    ("bits", "color_type", "row", "transparent", "other"),
    [
        (16, 2, struct.pack(">6H", 1000, 2000, 3000, 60000, 2000, 3000), (1000, 2000, 3000), (234, 7, 11)),
        (4, 0, bytes([0x5A]), (5,), (170, 170, 170)),
        (2, 0, bytes([0b10010000]), (2,), (85, 85, 85)),
        (1, 0, bytes([0b10000000]), (1,), (0, 0, 0)),
    ],
    ids=["colors of 16 bits", "grey of 4 bits", "grey of 2 bits", "black and white"],
)
def test_a_transparent_color_of_another_depth_shows_the_background(
    bits: int, color_type: int, row: bytes, transparent: tuple[int, ...], other: tuple[int, int, int]
) -> None:
    content = png(bits, color_type, row, struct.pack(f">{len(transparent)}H", *transparent))
    pixels = decode(content, side=2, fit="pad", background=(1, 2, 3))
    assert [tuple(pixels[:, 0, column].tolist()) for column in (0, 1)] == [(1, 2, 3), other]


def test_a_transparent_grey_of_16_bits_shows_the_background(tmp_path: Path) -> None:
    values = np.array([[1000, 1001], [40000, 1000]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png", transparency=1000)
    pixels = pixels_of(tmp_path / "x.png", background=BLUE, image_size=2)
    assert pixels.permute(1, 2, 0).tolist() == [[list(BLUE), [3, 3, 3]], [[156, 156, 156], list(BLUE)]]


def test_the_orientation_in_the_exif_data_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 8), RED)
    image.paste(BLUE, (8, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, so that what was left is above
    image.save(tmp_path / "x.png", exif=exif)
    found = pixels_of(tmp_path / "x.png", fit="pad")
    assert found[:, 1, 4].tolist() == list(RED)
    assert found[:, 6, 4].tolist() == list(BLUE)


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp"])
def test_the_first_frame_of_an_animation_is_the_image(tmp_path: Path, name: str) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    options = {"lossless": True} if name == "x.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=[second], **options)
    assert pixels_of(tmp_path / name)[:, 4, 4].tolist() == list(RED)


def striped(path: Path) -> Path:
    """Write an image of 24 x 8 pixels: red, green and blue from left to right."""
    image = Image.new("RGB", (24, 8), GREEN)
    image.paste(RED, (0, 0, 8, 8))
    image.paste(BLUE, (16, 0, 24, 8))
    image.save(path)
    return path


def test_resize_and_crop_take_the_centre_and_pad_keeps_all(tmp_path: Path) -> None:
    path = striped(tmp_path / "x.png")
    for fit in ("resize", "crop"):
        assert pixels_of(path, fit=fit)[:, 4, 4].tolist() == list(GREEN)
        assert set(pixels_of(path, fit=fit)[0].flatten().tolist()) == {0}
    padded = pixels_of(path, fit="pad", background=WHITE)
    assert padded[:, 0, 0].tolist() == list(WHITE)
    assert padded[0, 4, 0] > 200
    assert padded[2, 4, 7] > 200


def test_a_small_image_is_enlarged_by_resize_and_framed_by_the_others(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", RED, size=(4, 4))
    assert pixels_of(path, fit="resize")[:, 0, 0].tolist() == list(RED)
    for fit in ("crop", "pad"):
        found = pixels_of(path, fit=fit, background=BLUE)
        assert found[:, 0, 0].tolist() == list(BLUE)
        assert found[:, 4, 4].tolist() == list(RED)


def test_a_large_photograph_is_scaled_without_losing_its_middle(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 800).astype(np.uint8), (600, 1))
    Image.fromarray(np.stack([ramp] * 3, axis=2)).save(tmp_path / "x.jpg", quality=95)
    row = pixels_of(tmp_path / "x.jpg")[0, 4].float()
    expected = torch.linspace(255 * 137 / 800, 255 * 663 / 800, 8)
    assert (row - expected).abs().max() < 12
