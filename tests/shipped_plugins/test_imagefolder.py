"""Folders of one's own images: what counts as a class, how they are split, and what every format becomes."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from benchbench_plugins.imagefolder import ImageFolder
from PIL import Image
from support.digests import decoded, digest
from support.permissions import forbid

from benchbench.data import cache as data_cache
from benchbench.data.image_decoding import decode
from benchbench.errors import BenchError, DataError, SpecError
from benchbench.plugin import parameters
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from benchbench.worker.splits import TensorSplits

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def dataset(**params: Any) -> ImageFolder:
    return ImageFolder(**({"image_size": 8} | params))


def save(path: Path, color: tuple[int, ...] = RED, *, size: tuple[int, int] = (12, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def write(root: Path, numbers: dict[str, int], *, suffix: str = ".png") -> Path:
    """Write so many images into each of these folders, no two of one color."""
    for number_of_folder, (folder, number) in enumerate(numbers.items()):
        for row in range(number):
            save(root / folder / f"{row}{suffix}", (10 * row % 256, number_of_folder, 7))
    return root


def load(root: Path, **params: Any) -> TensorSplits:
    return decoded(dataset(**params), root)


def sizes(splits: TensorSplits) -> list[int]:
    return [len(split) for _, split in splits.items()]


def pixels_of(path: Path, **params: Any) -> torch.Tensor:
    """Return what one image file becomes: ``[3, 8, 8]``."""
    root = path.parent / "images"
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            target = root / part / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return load(root, **params).train.images[0]


def refusal(root: Path, **params: Any) -> BenchError:
    with pytest.raises(BenchError) as caught:
        load(root, **params)
    return caught.value


def test_it_keeps_the_promises_of_all_datasets(tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        for row in range(5):
            image = Image.linear_gradient("L").rotate(len(folder) + 20 * row + (45 if folder == "cats" else 0))
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{row}.png")
    check_dataset(dataset(), tmp_path)


def test_every_class_is_split_by_its_fractions(tmp_path: Path) -> None:
    splits = load(write(tmp_path, {"cats": 20, "dogs": 10}), val_fraction=0.2, test_fraction=0.1)
    assert splits.class_names == ("cats", "dogs")
    assert sizes(splits) == [21, 6, 3]
    assert [split.labels.bincount().tolist() for _, split in splits.items()] == [[14, 7], [4, 2], [2, 1]]
    names = [name for _, split in splits.items() for name in split.names]
    assert len(set(names)) == 30


def test_the_split_is_always_the_same_until_its_seed_changes(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 20, "dogs": 10})
    assert load(root).test.names == load(root).test.names
    assert digest(load(root)) == digest(load(root))
    assert load(root, split_seed=1).test.names != load(root).test.names


def test_an_image_that_is_added_moves_few_others(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 40, "dogs": 40})
    before = set(load(root).test.names)
    save(root / "cats" / "new.png")
    assert len(before - set(load(root).test.names)) <= 1


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    root = write(tmp_path, {"Train/a": 3, "Train/b": 3, "valid/a": 2, "valid/b": 1, "test/a": 1, "test/b": 1})
    splits = load(root)
    assert sizes(splits) == [6, 3, 2]
    assert set(splits.val.names) == {"valid/a/0.png", "valid/a/1.png", "valid/b/0.png"}


def test_what_is_taken_from_the_training_images_is_said(tmp_path: Path) -> None:
    parts = {"train/a": 20, "train/b": 20, "val/a": 3, "val/b": 3}
    facts = data_cache.load(dataset(), write(tmp_path / "parts", parts)).facts
    assert facts.note == "took 4 images for test (test_fraction) from the training images"
    assert data_cache.load(dataset(), write(tmp_path / "whole", {"a": 20, "b": 20})).facts.note == ""


def test_classes_of_one_or_two_images_stay_in_training_and_are_named(tmp_path: Path) -> None:
    loaded = data_cache.load(dataset(), write(tmp_path, {"cats": 20, "lynxes": 2, "ocelots": 1}))
    assert loaded.facts.note == "too few images to be in every split: lynxes, ocelots"
    numbers = [np.bincount(split.labels, minlength=3).tolist() for split in loaded.splits.values()]
    assert numbers == [[16, 1, 1], [2, 0, 0], [2, 1, 0]]


def test_a_missing_test_folder_is_taken_from_the_training_images(tmp_path: Path) -> None:
    root = write(tmp_path, {"train/a": 10, "train/b": 10, "val/a": 2, "val/b": 2})
    splits = load(root, test_fraction=0.2)
    assert sizes(splits) == [16, 4, 4]
    assert all(name.startswith("train/") for name in splits.test.names)
    assert not set(splits.train.names) & set(splits.test.names)


def test_a_zip_archive_gives_what_the_folder_gives(tmp_path: Path) -> None:
    root = write(tmp_path / "photos", {"cats": 4, "dogs": 4})
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path))
    assert digest(load(tmp_path / "photos.zip")) == digest(load(root))
    assert digest(load(tmp_path)) == digest(load(root))


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4, "__MACOSX/cats": 2, ".git/x": 2})
    for name in ("cats/Thumbs.db", "cats/.DS_Store", "cats/._0.png", "dogs/notes.txt", "labels.csv"):
        (root / name).write_bytes(b"?")
    (root / "empty").mkdir()
    splits = load(root)
    assert splits.class_names == ("cats", "dogs")
    assert sum(sizes(splits)) == 8


def test_what_benchbench_and_mlflow_leave_beside_the_images_is_no_class_and_decodes_nothing_anew(
    tmp_path: Path,
) -> None:
    write(tmp_path, {"cats": 5, "dogs": 5})
    loaded = data_cache.load(dataset(), tmp_path)
    save(tmp_path / "mlruns" / "1" / "a" / "artifacts" / "figures" / "curves.png")
    save(tmp_path / ".bench" / "x.png")
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert data_cache.digest_of(dataset(), tmp_path) == loaded.facts.digest
    assert load(tmp_path).class_names == ("cats", "dogs")
    save(tmp_path / "cats" / "new.png", BLUE)
    assert data_cache.digest_of(dataset(), tmp_path) is None


def test_a_link_of_another_name_is_another_class(tmp_path: Path) -> None:
    write(tmp_path / "kept", {"cats": 5, "dogs": 5})
    (tmp_path / "photos").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "kept" / name)
    data_cache.load(dataset(), tmp_path / "photos")
    (tmp_path / "photos" / "dogs").rename(tmp_path / "photos" / "wolves")
    assert data_cache.digest_of(dataset(), tmp_path / "photos") is None
    assert load(tmp_path / "photos").class_names == ("cats", "wolves")


def test_a_split_of_an_unknown_name_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"train/a": 5, "train/b": 5, "dev/a": 2, "dev/b": 2})
    error = refusal(tmp_path)
    assert "dev has folders of the same classes as train" in error.message
    assert "rename it to val or test" in error.hint
    (tmp_path / "dev").rename(tmp_path / "val")
    save(tmp_path / "docs" / "figure.png")
    assert sizes(load(tmp_path))[1] == 4


def test_exif_data_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    Image.new("RGB", (8, 8), GREEN).save(path, dpi=(72, 72), exif=b"Exif\0\0" + b"garbage!" * 4)
    assert abs(pixels_of(path).float().mean(dim=(1, 2)) - torch.tensor([0.0, 255.0, 0.0])).max() < 3


def test_images_may_lie_deeper_and_have_suffixes_of_any_case(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats/2024": 3, "dogs": 3})
    save(root / "dogs" / "9.JPG")
    save(root / "dogs" / "10.Jpeg")
    splits = load(root)
    assert sum(sizes(splits)) == 8


def test_a_link_to_a_folder_is_a_class(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"dogs": 4})
    root = write(tmp_path / "photos", {"cats": 4})
    (root / "dogs").symlink_to(elsewhere / "dogs")
    assert load(root).class_names == ("cats", "dogs")


def test_classes_of_any_language_are_read_alike_from_every_system(tmp_path: Path) -> None:
    names = ("Żółw", "猫", "a b", "🐕", "e\u0301cureuil")
    splits = load(write(tmp_path, dict.fromkeys(names, 3)))
    assert set(splits.class_names) == {"Żółw", "猫", "a b", "🐕", "\u00e9cureuil"}


def test_images_are_split_alike_from_every_system(tmp_path: Path) -> None:
    names = [
        unicodedata.normalize("NFC", f"{name}.png") for name in ("é", "ez", "f", "ü", "uz", "v", "z", "å", "az", "b")
    ]
    loaded = []
    for form in ("NFC", "NFD"):
        for folder, shade in (("birds", 0), ("ärger", 100)):
            for row, name in enumerate(names):
                save(tmp_path / form / unicodedata.normalize(form, f"{folder}/{name}"), (shade + row, 0, 0))
        loaded.append(data_cache.load(dataset(test_fraction=0.3), tmp_path / form))
    assert loaded[0].facts.digest == loaded[1].facts.digest
    assert loaded[0].splits["test"].names == loaded[1].splits["test"].names


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


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "has no folders with images in them"),
        ({".": 5}, "has 5 images, but no folders of classes"),
        ({"cats": 5}, "has one class only: cats"),
        (
            {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "valid/a": 1},
            "has two folders for val: val, valid",
        ),
        ({"cats": 1, "dogs": 2}, "too few images to have some for val"),
        ({"cats": 1, "dogs": 1}, "too few images to have some for val and test"),
        ({"train/a": 3, "train/b": 3, "val/c": 1}, "val has classes that train does not have: c"),
        ({"train/a": 3, "train/b": 3, "test": 3}, "test has no folders of classes"),
        ({"train": 5, "test": 5}, "look like splits and not like classes: test, train"),
        ({"training_set/a": 5, "training_set/b": 5, "test_set/a": 3}, "not like classes: test_set, training_set"),
        ({"val/a": 5, "val/b": 5, "test/a": 3}, "not like classes: test, val"),
        (
            {"bus": 4, "car": 4, "train/diesel": 4, "train/steam": 4},
            "train has folders of classes, but the folders beside it have images too: bus, car",
        ),
        ({"seg_train": 5, "seg_test": 5, "seg_pred": 3}, "not like classes: seg_test, seg_train"),
        (
            {"a": 3, "b": 3, "cells/a": 3, "cells/b": 3},
            "the folder cells is no class, since it has",
        ),
        (
            {"cats/train": 4, "cats/test": 2, "dogs/Train": 4, "dogs/test": 2, "dogs/val": 1},
            "the folder cats has folders of splits in it: test, train",
        ),
        ({"dataset/train/a": 3, "dataset/train/b": 3, "dataset/test/a": 1, "samples": 5}, "the folder dataset has"),
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused(tmp_path: Path, numbers: dict[str, int], message: str) -> None:
    assert message in refusal(write(tmp_path, numbers)).message


def test_classes_that_may_be_variants_of_the_same_images_are_pointed_out(tmp_path: Path) -> None:
    variants = {f"{variant}/{name}": 3 for variant in ("color", "grey") for name in ("apple", "tomato")}
    note = data_cache.load(dataset(), write(tmp_path / "variants", variants)).facts.note
    assert "the classes color, grey have the same folders in them (apple, tomato)" in note
    holidays = {"cats": 3, "cats/holidays": 3, "dogs": 3, "dogs/holidays": 3}
    assert data_cache.load(dataset(), write(tmp_path / "holidays", holidays)).facts.note == ""


def test_folders_that_are_left_out_beside_the_splits_are_named(tmp_path: Path) -> None:
    parts = {"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "test/a": 1, "test/b": 1, "unlabeled": 2}
    facts = data_cache.load(dataset(), write(tmp_path, parts)).facts
    assert facts.class_names == ("a", "b")
    assert facts.note == "left out, since they are no splits: unlabeled"


def test_a_folder_of_a_class_without_images_is_named(tmp_path: Path) -> None:
    classes = write(tmp_path / "classes", {"a": 8, "b": 8})
    (classes / "c").mkdir()
    (classes / ".hidden").mkdir()
    facts = data_cache.load(dataset(), classes).facts
    assert facts.class_names == ("a", "b")
    assert facts.note == "left out, since they have no images in them: c"
    splits = write(tmp_path / "splits", {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in "ab"})
    (splits / "train" / "c").mkdir()
    assert data_cache.load(dataset(), splits).facts.note == "left out, since they have no images in them: c"


def test_images_that_are_in_no_folder_of_a_class_are_named(tmp_path: Path) -> None:
    classes = write(tmp_path / "classes", {"a": 8, "b": 8})
    for row in range(7):
        save(classes / f"{row}.png")
    note = data_cache.load(dataset(), classes).facts.note
    assert note == "left out, since they are in no class's folder: 0.png, 1.png, 2.png, 3.png, 4.png, and 2 more"
    splits = write(tmp_path / "splits", {f"{part}/{name}": 2 for part in ("train", "val", "test") for name in "ab"})
    save(splits / "train" / "loose.png")
    save(splits / "overview.png")
    note = data_cache.load(dataset(), splits).facts.note
    assert note == "left out, since they are in no class's folder: train/loose.png"


def test_a_class_may_be_called_as_a_split_is(tmp_path: Path) -> None:
    assert load(write(tmp_path, {"bus": 5, "train": 5})).class_names == ("bus", "train")
    names = ("bullet_train", "dog", "test_tube")
    assert load(write(tmp_path / "things", dict.fromkeys(names, 5))).class_names == names


def test_what_disks_and_network_drives_leave_is_no_class(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4, "#recycle/cats": 3, "$RECYCLE.BIN": 3, "lost+found": 3})
    assert load(root).class_names == ("cats", "dogs")


def test_a_link_that_leads_back_brings_no_image_twice(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4})
    (root / "cats" / "all").symlink_to(root / "cats")
    (root / "dogs" / "itself").symlink_to(root / "dogs" / "itself")
    assert sum(sizes(load(root))) == 8


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.message == f"no --data is given, and no images are at {tmp_path / 'nowhere'}: it does not exist"
    assert "one folder per class" in error.hint


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a": 5, "b": 5})
    forbid(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=f"cannot read {tmp_path}: Permission denied"):
        data_cache.load(dataset(), tmp_path)


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(SpecError, match="leave no images for training"):
        parameters.read(ImageFolder, {"val_fraction": 0.5, "test_fraction": 0.5})


def test_another_image_size_decodes_anew_and_another_mean_does_not(tmp_path: Path) -> None:
    root = write(tmp_path, {"cats": 4, "dogs": 4})
    first = data_cache.load(dataset(), root)
    assert data_cache.load(dataset(image_size=16), root).facts.image_shape == (3, 16, 16)
    assert data_cache.digest_of(dataset(mean=(0.5,)), root) == first.facts.digest
    assert data_cache.digest_of(dataset(image_size=32), root) is None


def test_a_tar_archive_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "photos.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match="is a tar archive") as caught:
        dataset().load(tmp_path / "photos.tar.gz")
    assert "unpack it" in caught.value.hint


def test_names_of_files_that_are_no_utf8_are_kept_readable(tmp_path: Path) -> None:
    root = write(tmp_path / "images", {"cat": 4, "dog": 4})
    try:
        (root / "dog").rename(root / os.fsdecode(b"ros\xe9"))
        (root / "cat" / "0.png").rename(root / "cat" / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this system has no such names")
    loaded = data_cache.load(dataset(), root)
    assert loaded.facts.class_names == ("cat", r"ros\xe9")
    names = [name for split in loaded.splits.values() for name in split.names]
    assert r"cat/caf\xe9.png" in names
    for path in (root / os.fsdecode(b"ros\xe9")).glob("[2-9].png"):
        path.unlink()
    loaded = data_cache.load(dataset(), root)
    assert r"ros\xe9" in loaded.facts.note
    assert data_cache.load(dataset(), root).facts == loaded.facts
