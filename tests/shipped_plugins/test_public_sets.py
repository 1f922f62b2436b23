"""CIFAR, MNIST, Fashion-MNIST, SVHN and MedMNIST: small files in their own formats."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
import pytest
from benchbench_plugins.cifar import Cifar10, Cifar100
from benchbench_plugins.medmnist_sets import MedMnist, Subset
from benchbench_plugins.mnist import MAX_FILE_BYTES, NAMES, FashionMnist, Mnist
from benchbench_plugins.svhn import Svhn
from scipy.io import savemat
from support.cifar_files import cifar_members, noise
from support.image_archives import write_folder, write_zip
from torchvision import datasets

import benchbench as bb
from benchbench.data.parallel_decoding import decode_lazy
from benchbench.errors import DataError
from benchbench.testing import check_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def file_facts(path: Path) -> bb.Download:
    """Return what a small file is compared with instead of the published one."""
    content = path.read_bytes()
    return bb.Download("", path.name, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())


def refusal(dataset: bb.Dataset, root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        dataset.load(root)
    return caught.value


# CIFAR


def cifar100_members(number: int = 200) -> dict[str, bytes]:
    members = {"fine_label_names.txt": "\n".join(f"fine{label}" for label in range(100)).encode()}
    for seed, name in enumerate(("train.bin", "test.bin")):
        fine = np.arange(number, dtype=np.uint8)[:, None] % 100
        members[name] = np.hstack([fine // 5, fine, noise(number, 3072, seed=seed)]).tobytes()
    return members


def write_tar(path: Path, folder: str, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def cifar(tmp_path: Path) -> tuple[Cifar10, Path]:
    archive = write_tar(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar_members())

    class Small(Cifar10, name="cifar10"):
        download: ClassVar[Any] = file_facts(archive)

    return Small(), archive


def test_cifar10_keeps_the_promises_of_all_datasets(cifar: tuple[Cifar10, Path]) -> None:
    check_dataset(*cifar)


def test_cifar100_keeps_the_promises_of_all_datasets(tmp_path: Path) -> None:
    check_dataset(Cifar100(), write_folder(tmp_path / "cifar-100-binary", cifar100_members()))


def test_cifar_is_read_alike_from_its_archive_its_folder_and_a_folder_with_either(
    cifar: tuple[Cifar10, Path], tmp_path: Path
) -> None:
    dataset, archive = cifar
    write_folder(tmp_path / "unpacked" / "cifar-10-batches-bin", cifar_members())
    roots = (archive, archive.parent, tmp_path / "unpacked", tmp_path / "unpacked" / "cifar-10-batches-bin")
    loaded = [dataset.load(root) for root in roots]
    for other in loaded[1:]:
        assert np.array_equal(loaded[0].train.images, other.train.images)
    splits = loaded[0]
    assert [len(part) for _, part in splits.items()] == [180, 20, 40]
    assert np.bincount(splits.val.labels).tolist() == [2] * 10
    assert splits.class_names[:2] == ("class0", "class1")


def test_the_pixels_of_cifar_are_those_of_the_file(cifar: tuple[Cifar10, Path]) -> None:
    test = cifar[0].load(cifar[1]).test
    assert np.array_equal(test.images, noise(40, 3072, seed=5).reshape(40, 3, 32, 32))
    assert test.labels.tolist() == [row % 10 for row in range(40)]


def test_the_labels_of_cifar100_are_the_fine_ones(tmp_path: Path) -> None:
    splits = Cifar100().load(write_folder(tmp_path, cifar100_members()))
    assert splits.test.labels.tolist() == list(range(100)) * 2
    assert splits.class_names[99] == "fine99"


def test_the_pickled_version_of_cifar_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar-10-batches-py", {"data_batch_1": b"\x80\x02."})
    error = refusal(Cifar10(), tmp_path)
    assert "consists of pickles" in error.message
    assert "bench data fetch cifar10" in error.hint


def test_another_archive_of_cifar_is_refused_by_its_checksum(cifar: tuple[Cifar10, Path]) -> None:
    dataset, archive = cifar
    content = bytearray(archive.read_bytes())
    content[100] ^= 1
    archive.write_bytes(bytes(content))
    assert "wrong MD5 checksum" in refusal(dataset, archive).message
    archive.write_bytes(bytes(content[:1000]))
    assert "bytes, not" in refusal(dataset, archive).message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", b"x" * 3000, "data_batch_2.bin has 3,000 bytes, which are no whole images"),
        ("test_batch.bin", b"\x63" + bytes(3072), "a label is 99, but there are 10 classes"),
    ],
)
def test_files_of_cifar_that_cannot_be_whole_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert message in refusal(Cifar10(), write_folder(tmp_path, cifar_members() | {name: content})).message


@pytest.mark.parametrize("name", ["../evil.bin", "/evil.bin"])
def test_a_tar_archive_with_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    class Unchecked(Cifar10, name="cifar10"):
        download: ClassVar[Any] = None

    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert "not safe to read" in refusal(Unchecked(), path).message


# MNIST


def idx(values: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def mnist_files(*, is_packed: bool = True) -> dict[str, bytes]:
    arrays = (
        noise(100, 28, 28, seed=1),
        np.arange(100, dtype=np.uint8) % 10,
        noise(30, 28, 28, seed=2),
        np.arange(30, dtype=np.uint8) % 10,
    )
    contents = dict(zip(NAMES, map(idx, arrays), strict=True))
    return {f"{name}.gz": gzip.compress(each, mtime=0) for name, each in contents.items()} if is_packed else contents


class AnyMnist(Mnist, name="mnist"):
    """Without the checksums of the published files."""

    download: ClassVar[Any] = None


@pytest.mark.parametrize("cls", [Mnist, FashionMnist])
def test_mnist_and_fashion_mnist_keep_the_promises_of_all_datasets(tmp_path: Path, cls: type[Mnist]) -> None:
    check_dataset(cls(), write_folder(tmp_path, mnist_files(is_packed=False)))


def test_mnist_is_read_from_a_folder_with_folders_of_the_same_names(tmp_path: Path) -> None:
    for name, content in mnist_files(is_packed=False).items():
        write_folder(tmp_path / name, {name: content})
        write_folder(tmp_path, {name.replace("-idx", ".idx"): content})
    assert len(AnyMnist().load(tmp_path).test) == 30


@pytest.mark.parametrize("other", ["fashion", "fashion_mnist_data", "Fashion-MNIST", "KMNIST"])
def test_mnist_is_not_read_from_the_folder_of_another_set(tmp_path: Path, other: str) -> None:
    files = mnist_files(is_packed=False)
    write_folder(tmp_path / other, {name: content[:-1] + b"x" for name, content in files.items()})
    assert "is missing" in refusal(AnyMnist(), tmp_path).message
    write_folder(tmp_path / "mnist", files)
    ours = AnyMnist().load(tmp_path)
    assert np.array_equal(ours.test.images, AnyMnist().load(tmp_path / "mnist").test.images)


def test_fashion_mnist_is_found_below_a_folder_that_is_called_mnist(tmp_path: Path) -> None:
    class AnyFashion(FashionMnist, name="fashion_mnist"):
        download: ClassVar[Any] = None

    write_folder(tmp_path / "mnist" / "fashion-mnist", mnist_files())
    assert len(AnyFashion().load(tmp_path).test) == 30
    assert "is missing" in refusal(AnyMnist(), tmp_path).message


def test_mnist_is_read_alike_packed_unpacked_zipped_and_from_torchvisions_folder(tmp_path: Path) -> None:
    roots = (
        write_folder(tmp_path / "packed", mnist_files()),
        write_folder(tmp_path / "unpacked", mnist_files(is_packed=False)),
        write_zip(tmp_path / "mnist.zip", mnist_files()),
        tmp_path / "torchvision",
    )
    write_folder(tmp_path / "torchvision" / "MNIST" / "raw", mnist_files(is_packed=False))
    for root in roots:
        splits = AnyMnist().load(root)
        assert [len(part) for _, part in splits.items()] == [90, 10, 30]
        assert np.array_equal(splits.test.images, noise(30, 1, 28, 28, seed=2))


def test_mnist_is_not_taken_from_the_folder_of_another_set_with_files_of_the_same_names(tmp_path: Path) -> None:
    others = {name: content[:-1] + b"\x07" for name, content in mnist_files(is_packed=False).items()}
    for folder in ("FashionMNIST", "KMNIST"):
        write_folder(tmp_path / folder / "raw", others)
    assert "train-images-idx3-ubyte.gz is missing" in refusal(AnyMnist(), tmp_path).message
    write_folder(tmp_path / "MNIST" / "raw", mnist_files(is_packed=False))
    assert np.array_equal(AnyMnist().load(tmp_path).test.images, noise(30, 1, 28, 28, seed=2))
    assert FashionMnist().load(tmp_path).test.images[-1, 0, -1, -1] == 7


def test_mnist_is_what_torchvision_reads(tmp_path: Path) -> None:
    write_folder(tmp_path / "MNIST" / "raw", mnist_files(is_packed=False))
    theirs = datasets.MNIST(tmp_path, train=False)
    ours = AnyMnist().load(tmp_path).test
    assert np.array_equal(ours.images[:, 0], theirs.data.numpy())
    assert ours.labels.tolist() == theirs.targets.tolist()


def test_files_of_mnist_with_another_checksum_are_refused(tmp_path: Path) -> None:
    assert "train-images-idx3-ubyte.gz has" in refusal(Mnist(), write_folder(tmp_path, mnist_files())).message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (NAMES[0], idx(noise(5, 28, 28))[:-7], "train-images-idx3-ubyte is damaged"),
        (NAMES[2], b"\0\0\x0d\1\0\0\0\1\0\0\0\0", "is no IDX file of bytes"),
        (NAMES[3], b"", "t10k-labels-idx1-ubyte is damaged"),
        (NAMES[1], idx(noise(3)), "the train files do not belong together"),
        (f"{NAMES[0]}.gz", gzip.compress(b"x", mtime=0)[:5], "train-images-idx3-ubyte.gz is damaged"),
    ],
)
def test_damaged_files_of_mnist_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    files = mnist_files(is_packed=False) | {name: content}
    assert message in refusal(AnyMnist(), write_folder(tmp_path, files)).message


def test_a_packed_file_of_mnist_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(MAX_FILE_BYTES + 1), mtime=0)
    files = mnist_files(is_packed=False)
    del files[NAMES[0]]
    root = write_zip(tmp_path / "mnist.zip", files | {f"{NAMES[0]}.gz": bomb})
    assert "unpacks to more than 64,000,000 bytes" in refusal(AnyMnist(), root).message


def test_files_beside_those_of_a_set_may_change(cifar: tuple[Cifar10, Path], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", mnist_files(is_packed=False) | cifar_members())
    for dataset in (AnyMnist(), cifar[0]):
        sources = {path.name for path in dataset.sources(folder)}
        assert len(sources) in (4, 7)
        (folder / "mlflow.db").write_bytes(b"another")
        assert {path.name for path in dataset.sources(folder)} == sources
        assert "mlflow.db" not in sources


def test_a_folder_without_mnist_tells_what_is_missing(tmp_path: Path) -> None:
    assert "train-images-idx3-ubyte.gz is missing" in refusal(Mnist(), tmp_path).message
    assert "it does not exist" in refusal(Mnist(), tmp_path / "nowhere").message


# SVHN


@pytest.fixture
def svhn(tmp_path: Path) -> tuple[Svhn, Path]:
    for name, number in (("train", 60), ("test", 20)):
        labels = (np.arange(number) % 10 + 1).astype(np.uint8)[:, None]
        savemat(tmp_path / f"{name}_32x32.mat", {"X": noise(32, 32, 3, number, seed=number), "y": labels})

    class Small(Svhn, name="svhn"):
        download: ClassVar[Any] = bb.Downloads(
            "svhn", tuple(file_facts(tmp_path / f"{name}_32x32.mat") for name in ("train", "test"))
        )

    return Small(), tmp_path


def test_svhn_keeps_the_promises_of_all_datasets(svhn: tuple[Svhn, Path]) -> None:
    check_dataset(*svhn)


def test_svhn_is_what_torchvision_reads(svhn: tuple[Svhn, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, root = svhn
    made = {"test": ["", "test_32x32.mat", dataset.download.files[1].md5]}
    monkeypatch.setattr(datasets.SVHN, "split_list", made)
    theirs = datasets.SVHN(root, split="test")
    ours = dataset.load(root).test
    assert np.array_equal(ours.images, theirs.data)
    assert ours.labels.tolist() == theirs.labels.tolist()


def test_files_of_svhn_that_are_missing_or_others_are_named(svhn: tuple[Svhn, Path]) -> None:
    dataset, root = svhn
    assert "train_32x32.mat has" in refusal(Svhn(), root).message
    (root / "test_32x32.mat").unlink()
    assert "test_32x32.mat is missing" in refusal(dataset, root).message


# All of them


def test_the_checksums_are_those_of_torchvision() -> None:
    ours = {file.file_name: file.md5 for cls in (Mnist, Svhn) for file in cls.download.files}
    theirs = dict(datasets.MNIST.resources) | {
        name: md5 for split, (_, name, md5) in datasets.SVHN.split_list.items() if split != "extra"
    }
    assert ours == theirs
    assert {file.file_name: file.md5 for file in FashionMnist.download.files} == dict(datasets.FashionMNIST.resources)


@pytest.mark.parametrize(
    ("cls", "files"),
    [(Cifar10, cifar_members()), (Cifar100, cifar100_members()), (Mnist, mnist_files(is_packed=False))],
)
def test_other_images_are_for_validation_with_another_seed(
    tmp_path: Path, cls: type[bb.Dataset], files: dict[str, bytes]
) -> None:
    write_folder(tmp_path, files)
    first, again, other = (cls(split_seed=seed).load(tmp_path) for seed in (0, 0, 1))
    assert np.array_equal(first.val.images, again.val.images)
    assert not np.array_equal(first.val.images, other.val.images)


# MedMNIST


@pytest.fixture
def medmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a small file, and a package that knows it, where they are looked for."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    for seed, (part, number) in enumerate((("train", 30), ("val", 10), ("test", 12))):
        arrays[f"{part}_images"] = noise(number, 28, 28, seed=seed)
        arrays[f"{part}_labels"] = (np.arange(number) % 2).astype(np.uint8)[:, None]
    path = tmp_path / "data" / "breastmnist.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    facts = {"url": "https://example.org", "MD5": file_facts(path).md5, "label": {"0": "malignant", "1": "benign"}}
    package = tmp_path / "packages" / "medmnist"
    write_folder(package, {"__init__.py": b"", "info.py": f"INFO = {{'breastmnist': {facts!r}}}\n".encode()})
    monkeypatch.syspath_prepend(package.parent)
    for name in ("medmnist", "medmnist.info"):
        sys.modules.pop(name, None)
    yield path
    for name in ("medmnist", "medmnist.info"):
        sys.modules.pop(name, None)


def test_medmnist_keeps_the_promises_of_all_datasets(medmnist: Path) -> None:
    dataset = MedMnist(subset="breastmnist")
    assert dataset.augmentation == "none", "a flipped left kidney is a right one"
    check_dataset(dataset, medmnist.parent)
    splits = dataset.load(medmnist)
    assert splits.class_names == ("malignant", "benign")
    assert decode_lazy(dict(splits.items()), None).splits["val"].images.shape == (10, 1, 28, 28)


def test_the_package_of_medmnist_names_a_file_and_a_checksum_for_every_set_and_size() -> None:
    info = pytest.importorskip("medmnist.info").INFO
    for subset in get_args(Subset):
        for size in ("", "_64", "_128", "_224"):
            assert info[subset][f"url{size}"].startswith("https://"), subset
            assert len(info[subset][f"MD5{size}"]) == 32
        assert "multi-label" not in info[subset]["task"]


def test_another_file_of_medmnist_is_refused(medmnist: Path) -> None:
    medmnist.write_bytes(medmnist.read_bytes() + b"x")
    assert "wrong MD5 checksum" in refusal(MedMnist(subset="breastmnist"), medmnist).message
    medmnist.unlink()
    error = refusal(MedMnist(subset="breastmnist"), medmnist.parent)
    assert "breastmnist.npz is missing" in error.message
    assert "it is at https://example.org" in error.hint


def test_without_the_package_of_medmnist_its_installation_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("medmnist", "medmnist.info"):
        monkeypatch.setitem(sys.modules, name, None)
    error = refusal(MedMnist(), tmp_path)
    assert "needs the package medmnist" in error.message
    assert error.hint == "pip install medmnist"
