"""SVHN, Street View House Numbers (Y. Netzer et al., 2011): cropped digits. Files and checksums are torchvision's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

import benchbench as bb
from benchbench.data.download import check_file
from benchbench.data.splitting import with_validation

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

URL = "http://ufldl.stanford.edu/housenumbers/"
TEN = 10
"""The label of the digit 0 in the files."""


class Svhn(bb.Dataset, name="svhn"):
    """99,289 digits of house numbers of 32x32: 65,931 to train, 7,326 to validate and 26,032 to test on.

    Validation gets ``val_fraction`` of the training images of each class. The extra images are not used.
    """

    download: ClassVar[bb.Download | bb.Downloads | None] = bb.Downloads(
        "svhn",
        (
            bb.Download(f"{URL}train_32x32.mat", "train_32x32.mat", 182_040_794, "e26dedcc434d2e4c54c9b2d4a06d8373"),
            bb.Download(f"{URL}test_32x32.mat", "test_32x32.mat", 64_275_384, "eb5a983be6a315427106f1b164d9cef3"),
        ),
    )

    load_uses: ClassVar[frozenset[str]] = frozenset()
    augmentation: ClassVar[str] = "none"  # a flipped digit is no digit

    image_size: int = bb.param(32, "side of the square that images become", ge=1, le=4096)
    mean: tuple[float, ...] = bb.param(
        (0.4377, 0.4438, 0.4728), "mean to subtract from pixels in 0..1: that of the training images"
    )
    std: tuple[float, ...] = bb.param(
        (0.1980, 0.2010, 0.1970), "standard deviation to divide by: that of the training images"
    )
    val_fraction: float = bb.param(0.1, "fraction of the training images of each class for validation", gt=0, lt=1)
    split_seed: int = bb.param(0, "seed of the choice of validation images", ge=0)

    def load(self, root: Path) -> bb.Splits:
        """Return the images in their order in the files. ``root`` is the folder of the two files."""
        files = self.download.files if isinstance(self.download, bb.Downloads) else ()
        for file in files:
            path = root / file.file_name
            if not path.is_file():
                hint = f"--data {self.name}=PATH of the folder that has it; bench data fetch {self.name}"
                raise bb.DataError(f"no {self.name} images at {root}: {file.file_name} is missing", hint=hint)
            check_file(path, file)
        (images, labels), test = (_read(root / file.file_name) for file in files)
        train, val = with_validation(images, labels, self.val_fraction, seed=self.split_seed)
        return bb.Splits(train, val, bb.Split(*test), tuple("0123456789"))

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the two files."""
        return (root / "train_32x32.mat", root / "test_32x32.mat")


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and labels of a MATLAB file, a format without code in it."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=("X", "y"))
        images, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
        images = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    except Exception as error:  # noqa: BLE001 - SciPy's reader raises all sorts of errors on damaged files
        raise bb.DataError(f"{path} is damaged: {error}", hint="get it again") from None
    return images, np.where(labels == TEN, 0, labels)


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer the digits."""
    return [Svhn]
