"""MedMNIST (J. Yang et al., "MedMNIST v2", 2023): medical images of 28x28 to 224x224, with the splits of its authors.

The package ``medmnist`` knows the files, their checksums, and the classes; the images are read here.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

import benchbench as bb
from benchbench.data.download import file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Subset = Literal[
    "pathmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
]
"""Those of two dimensions whose images have one label each."""

SMALLEST = 28


class MedMnist(bb.Dataset, name="medmnist"):
    """Medical images of MedMNIST, eleven sets with one label per image; needs the package medmnist."""

    load_uses: ClassVar[frozenset[str]] = frozenset()
    augmentation: ClassVar[str] = "none"  # a flipped left kidney is a right one, and the sets' authors use none

    image_size: int = bb.param(28, "side of the square that images become", ge=1, le=4096)
    subset: Subset = bb.param("pathmnist", "which set")
    stored_size: Literal[28, 64, 128, 224] = bb.param(28, "side of the images in the file")

    def load(self, root: Path) -> bb.Splits:
        """Return the images in their order in the file. ``root`` is the file, or the folder that it lies in."""
        info = _info(self.subset)
        path = self._file(root)
        if not path.is_file():
            key = "url" if self.stored_size == SMALLEST else f"url_{self.stored_size}"
            raise bb.DataError(
                f"no images of {self.subset} at {root}: {path.name} is missing",
                hint=f"--data medmnist=FOLDER that has it; it is at {info[key]}",
            )
        _check(path, info["MD5" if self.stored_size == SMALLEST else f"MD5_{self.stored_size}"])
        splits = {split_name: _read(path, split_name) for split_name in ("train", "val", "test")}
        names = [info["label"][str(label)] for label in range(len(info["label"]))]
        return bb.Splits(splits["train"], splits["val"], splits["test"], tuple(names))

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the file."""
        return (self._file(root),)

    def _file(self, root: Path) -> Path:
        size = "" if self.stored_size == SMALLEST else f"_{self.stored_size}"
        return root if root.is_file() else root / f"{self.subset}{size}.npz"


def _info(subset: str) -> dict[str, Any]:
    try:
        from medmnist.info import INFO
    except ImportError as error:
        raise bb.DataError(
            f"the dataset medmnist needs the package medmnist: {error}", hint="pip install medmnist"
        ) from None
    info: dict[str, Any] = INFO[subset]
    return info


def _check(path: Path, md5: str) -> None:
    digest = file_digest(path, "md5")
    if digest != md5:
        raise bb.DataError(f"{path} has the wrong MD5 checksum: {digest}, not {md5}", hint="download it again")


def _read(path: Path, split_name: str) -> bb.Split:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images: NDArray[np.uint8] = arrays[f"{split_name}_images"]
            labels: NDArray[np.int64] = arrays[f"{split_name}_labels"].reshape(-1).astype(np.int64)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise bb.DataError(f"{path} is damaged: {error}", hint="get it again") from None
    # Gray images are [N, H, W], those in color [N, H, W, 3].
    gray = images[..., None] if images.ndim == 3 else images  # noqa: PLR2004 - as above
    return bb.Split(np.ascontiguousarray(gray.transpose(0, 3, 1, 2)), labels)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the sets."""
    return [MedMnist]
