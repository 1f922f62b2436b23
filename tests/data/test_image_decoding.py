"""Image files as Pillow does not write them: numbers of other depths, other meanings of 0, and odd EXIF data."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from benchbench.data.image_decoding import decode
from benchbench.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1


def tiff(data: bytes, *, bits: int, width: int, kind: int = UNSIGNED, zero: int = BLACK_IS_ZERO) -> bytes:
    """Return a TIFF file of one row of grey pixels."""
    num_tags = 10
    start_of_data = 8 + 2 + 12 * num_tags + 4
    longs = {256: width, 257: 1, 273: start_of_data, 278: 1, 279: len(data)}
    shorts = {258: bits, 259: 1, 262: zero, 277: 1, 339: kind}
    tags = {tag: struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs.items()}
    tags |= {tag: struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    return struct.pack("<2sHIH", b"II", 42, 8, num_tags) + b"".join(tags[tag] for tag in sorted(tags)) + bytes(4) + data


def tiff_of(values: NDArray[Any], *, zero: int = BLACK_IS_ZERO) -> bytes:
    kind = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[values.dtype.kind]
    return tiff(values.tobytes(), bits=8 * values.itemsize, width=len(values), kind=kind, zero=zero)


def row_of(content: bytes, *, width: int = 2) -> list[int]:
    """Return the row of pixels in the middle of an image that is padded."""
    pixels: list[int] = decode(content, side=width, fit="pad", background=(9, 9, 9))[0, (width - 1) // 2].tolist()
    return pixels


def test_white_of_12_bits_is_white() -> None:
    two_pixels_in_three_bytes = (4095 << 12 | 2048).to_bytes(3, "big")
    assert row_of(tiff(two_pixels_in_three_bytes, bits=12, width=2)) == [255, 128]


def test_bytes_that_were_saved_as_the_high_bytes_of_16_bits_come_back() -> None:
    assert row_of(tiff_of(np.arange(256, dtype=np.uint16) << 8), width=256) == list(range(256))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 200], np.uint8), [255, 55]),
        (np.array([0, 65535], np.uint16), [255, 0]),
        (np.array([0.0, 1.0], np.float32), [255, 0]),
    ],
    ids=["8 bits", "16 bits", "floats"],
)
def test_zero_is_white_if_the_file_says_so(values: NDArray[Any], expected: list[int]) -> None:
    assert row_of(tiff_of(values, zero=WHITE_IS_ZERO)) == expected


@pytest.mark.parametrize(
    "values",
    [np.array([-1000, 3000], np.int16), np.array([-5, 200], np.int32), np.array([4_000_000_000] * 2, np.uint32)],
    ids=["a CT scan", "one below zero", "one that wraps"],
)
def test_numbers_that_would_be_cut_off_are_refused(values: NDArray[Any]) -> None:
    with pytest.raises(DataError, match="its numbers are not between 0 and 65,535"):
        row_of(tiff_of(values))


def test_an_image_is_turned_though_its_exif_data_have_a_number_for_a_text() -> None:
    make, orientation = struct.pack("<HHII", 271, 5, 1, 38), struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    tags = struct.pack("<2sHIH", b"II", 42, 8, 2) + make + orientation + bytes(4)
    Image.new("L", (16, 8), 200).save(file := io.BytesIO(), "jpeg", exif=b"Exif\0\0" + tags + struct.pack("<II", 1, 3))
    pixels = decode(file.getvalue(), side=16, fit="pad", background=(9, 9, 9))[0]
    assert pixels[:, 8].tolist() == [200] * 16
    assert pixels[8, 0] == 9
