"""Archives and folders laid out like Tiny ImageNet's, of real images or of ones made here."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

VAL_FIRST = ("n01443537", "n01698640", "n01768244", "n01774384")
TEST_FIRST = ("n01629819", "n01641577", "n01644900", "n01742172", "n01770393", "n01774750")
WNIDS = sorted(VAL_FIRST + TEST_FIRST)
LATER_WNID = "n01774999"


def made_images(wnids: Sequence[str] = WNIDS) -> dict[str, bytes]:
    """Return 500 JPEG files of each class by name, no two alike: squares of random colors."""
    squares = np.random.default_rng(0).integers(0, 256, (len(wnids), 500, 4, 4, 3), np.uint8)
    names = [f"{wnid}_{number}.JPEG" for wnid in wnids for number in range(500)]
    return {name: _saved(_enlarged(image)) for name, image in zip(names, squares.reshape(-1, 4, 4, 3), strict=True)}


def _enlarged(squares: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(squares).resize((64, 64), Image.Resampling.NEAREST)


def jpeg(color: tuple[int, int, int], *, size: tuple[int, int] = (64, 64)) -> bytes:
    """Return a JPEG file of one color."""
    return _saved(Image.new("RGB", size, color))


def _saved(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def images_in(archive: Path) -> dict[str, bytes]:
    """Return the JPEG files of a zip archive by their last names."""
    with zipfile.ZipFile(archive) as file:
        return {name.rpartition("/")[2]: file.read(name) for name in file.namelist() if name.endswith(".JPEG")}


def ready_cut(images: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members of the archive that is cut into train, val and test."""
    members = {"words.txt": b"n01443537\tgoldfish, Carassius auratus\n"}
    for name, image in images.items():
        wnid, number = name.removesuffix(".JPEG").split("_")
        parts = ("val", "test") if wnid in VAL_FIRST else ("test", "val")
        part = "train" if int(number) >= 100 else parts[int(number) >= 50]
        members[f"{part}/{wnid}/images/{name}"] = image
    return members


def official(images: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members of the archive as its makers laid it out, in no order, with a class more."""
    one = next(iter(images.values()))
    later = {f"train/{LATER_WNID}/images/{LATER_WNID}_0.JPEG": one}
    members = {f"train/{name.split('_')[0]}/images/{name}": images[name] for name in sorted(images, key=backwards)}
    return (
        later
        | members
        | {
            f"train/{WNIDS[0]}/{WNIDS[0]}_boxes.txt": b"n01443537_0.JPEG\t0\t10\t63\t58\n",
            "val/images/val_0.JPEG": one,
            "val/val_annotations.txt": f"val_0.JPEG\t{LATER_WNID}\t0\t32\t44\t62\n".encode(),
            "test/images/test_0.JPEG": one,
            "wnids.txt": "\n".join([LATER_WNID, *WNIDS]).encode(),
            "words.txt": b"n01443537\tgoldfish, Carassius auratus\n",
        }
    )


def sorted_by_class(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the official archive after the well-known script that sorts its validation images into classes."""
    moved = {f"val/{WNIDS[0]}/images/val_0.JPEG": members["val/images/val_0.JPEG"]}
    return {name: content for name, content in members.items() if not name.startswith("val/")} | moved


def backwards(name: str) -> str:
    return name[::-1]


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip archive whose members lie in a folder of the same name, as both archives have it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{path.stem}/{name}", content)
    return path


def write_folder(path: Path, members: dict[str, bytes]) -> Path:
    """Write the members as files."""
    for name, content in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path
