"""Files that cannot be read: all are named at once, or left out."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.image_folders import RED, load, pixels_of, refusal, save, sizes, write

from benchbench.errors import BenchError, DataError


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a folder with three files that cannot be read among sixteen that can."""
    root = write(tmp_path, {"cats": 8, "dogs": 8})
    whole = save(tmp_path / "whole.jpg", size=(80, 80)).read_bytes()
    (root / "cats" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "cats" / "empty.png").write_bytes(b"")
    (root / "dogs" / "phone.HEIC").write_bytes(b"ftypheic")
    (tmp_path / "whole.jpg").unlink()
    return root


def test_damaged_files_are_all_named_at_once_with_a_way_out(damaged: Path) -> None:
    error = refusal(damaged)
    assert isinstance(error, DataError)
    assert "3 images cannot be read" in error.message
    for name in ("cats/cut.jpg", "cats/empty.png", "dogs/phone.HEIC"):
        assert name in error.message
    assert "dataset.on_damaged=skip" in error.hint


def test_damaged_files_can_be_left_out(damaged: Path) -> None:
    splits = load(damaged, on_damaged="skip")
    assert sum(sizes(splits)) == 16
    assert not any("cut" in name for _, split in splits.items() for name in split.names)


def test_a_class_of_which_no_training_image_can_be_read_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, {"train/cats": 4, "val/cats": 2, "val/dogs": 2, "test/cats": 2, "test/dogs": 2})
    (root / "train" / "dogs").mkdir()
    (root / "train" / "dogs" / "cut.png").write_bytes(b"\x89PNG")
    assert "none of the training images of dogs can be read" in refusal(root, on_damaged="skip").message


def test_a_file_that_a_failing_disk_does_not_give_is_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4})
    read_bytes = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "2.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "2.png: Input/output error" in refusal(root, on_damaged="skip").message


def test_an_archive_that_a_failing_disk_does_not_give_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "photos", {"cats": 4, "dogs": 4})
    archive = Path(shutil.make_archive(str(root), "zip", root))
    read = zipfile.ZipFile.read

    def fail(file: zipfile.ZipFile, member: Any, *args: Any) -> bytes:
        if getattr(member, "filename", member).endswith("2.png"):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(file, member, *args)

    monkeypatch.setattr(zipfile.ZipFile, "read", fail)
    message = refusal(archive, on_damaged="skip").message
    assert "2.png: Stale file handle" in message
    assert "damaged" not in message


@pytest.mark.parametrize("kind", ["reduced", "canon"])
def test_the_preview_in_a_cameras_raw_file_is_not_the_image(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "raw.tif"
    Image.new("RGB", (16, 12), RED).save(path, tiffinfo={254: 1} if kind == "reduced" else {})
    if kind == "canon":
        content = path.read_bytes()
        moved = int.from_bytes(content[4:8], "little")
        entries = int.from_bytes(content[moved : moved + 2], "little")
        table = content[moved : moved + 2 + 12 * entries + 4]
        path.write_bytes(content[:4] + len(content).to_bytes(4, "little") + b"CR\x02\x00" + content[12:] + table)
    with pytest.raises(BenchError, match="raw file, of which only the preview could be read"):
        pixels_of(path)


def test_an_image_of_too_many_pixels_is_refused_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    message = refusal(write(tmp_path, {"cats": 4, "dogs": 4})).message
    assert "million pixels: scale it down" in message


def test_many_damaged_files_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 3, "dogs": 3})
    for row in range(30):
        (root / "cats" / f"broken{row}.png").write_bytes(b"\x89PNG")
    message = refusal(root).message
    assert "30 images cannot be read" in message
    assert ", and 10 more; all are listed in " in message
