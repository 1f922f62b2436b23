from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

import pytest

from benchbench.data.archive import open_files
from benchbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def zip_with(folder: Path, *members: str | zipfile.ZipInfo) -> Path:
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"0123456789")
    return path


def test_zip_and_folder_give_the_same_files(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one", "a/two", "a/b/three", "a/c/")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "folder")
    for path in (archive, tmp_path / "folder"):
        with open_files(path, max_file_bytes=10) as files:
            assert {"one", "two"} <= files.files_in("a")
            assert files.files_in("a/c") == files.files_in("nowhere") == frozenset()
            assert files.read("a/b/three") == b"0123456789"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/../../b", "leads out of the archive"),
        ("..\\b", "leads out of the archive"),
        ("/etc/passwd", "has an absolute path"),
        ("\\server\\share", "has an absolute path"),
        ("C:/windows", "has an absolute path"),
    ],
)
def test_a_member_that_would_leave_the_archive_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    archive = zip_with(tmp_path, "fine", name)
    with pytest.raises(DataError) as caught, open_files(archive, max_file_bytes=10):
        pass
    assert str(archive) in caught.value.message
    assert repr(name) in caught.value.message
    assert reason in caught.value.message


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = zip_with(tmp_path, link)
    with pytest.raises(DataError, match=r"'a/link' is a symbolic link"), open_files(archive, max_file_bytes=10):
        pass


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one", "a/one")
    with pytest.raises(DataError, match=r"a/one is in the archive twice"), open_files(archive, max_file_bytes=10):
        pass


def test_a_zip_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one", "a/two")
    archive.write_bytes(archive.read_bytes()[:-30])
    with (
        pytest.raises(DataError, match=r"images\.zip is not a complete zip archive"),
        open_files(archive, max_file_bytes=10),
    ):
        pass


def test_a_single_image_is_no_archive(tmp_path: Path) -> None:
    image = tmp_path / "cat.png"
    image.write_bytes(b"\x89PNG")
    expected = r"cat\.png is neither a folder nor an archive"
    with pytest.raises(DataError, match=expected) as caught, open_files(image, max_file_bytes=10):
        pass
    assert "name the folder of the images" in caught.value.hint


def test_an_archive_without_a_suffix_that_was_cut_short_is_one_nevertheless(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one").rename(tmp_path / "download")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match="is not a complete zip archive"), open_files(archive, max_file_bytes=10):
        pass


def test_a_member_whose_bytes_changed_is_named(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one", "a/two")
    archive.write_bytes(archive.read_bytes().replace(b"0123456789", b"0123456780", 1))
    with open_files(archive, max_file_bytes=10) as files:
        assert files.read("a/two") == b"0123456789"
        with pytest.raises(DataError, match=r"images\.zip: a/one is damaged: Bad CRC"):
            files.read("a/one")


def test_a_member_that_swells_beyond_all_need_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", bytes(10_000_000))
    with (
        open_files(archive, max_file_bytes=1000) as files,
        pytest.raises(DataError, match=r"bomb has 10,000,000 bytes"),
    ):
        files.read("bomb")


def test_a_member_that_lies_about_its_size_is_not_read_beyond_it(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", bytes(10_000_000))
    real, told = (10_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(real, told))
    with open_files(archive, max_file_bytes=1000) as files, pytest.raises(DataError, match=r"bomb is damaged"):
        files.read("bomb")


def test_names_that_begin_with_the_current_folder_are_names_without_it(tmp_path: Path) -> None:
    with open_files(zip_with(tmp_path, "./cats/1.jpg"), max_file_bytes=100) as files:
        assert files.folders_in("") == {"cats"}
        assert files.files_in("cats") == {"1.jpg"}


def test_an_archive_of_another_kind_is_refused_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "photos.tar.xz").write_bytes(b"\xfd7zXZ")
    with pytest.raises(DataError) as caught, open_files(tmp_path / "photos.tar.xz", max_file_bytes=100):
        pass
    assert caught.value.hint == "unpack it, and name its folder"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    archive = zip_with(tmp_path, "a/one")
    with open_files(archive, max_file_bytes=10) as files, pytest.raises(DataError, match=r"a/two is missing"):
        files.read("a/two")
    with open_files(tmp_path, max_file_bytes=10) as files, pytest.raises(DataError, match=r"cannot read .*a/two"):
        files.read("a/two")


def zip_with_bytes(path: Path, *names: bytes) -> Path:
    """Write a zip whose names are these bytes, which it does not say to be UTF-8."""
    placeholders = [f"{'x' * (len(name) - 2)}{number:02}" for number, name in enumerate(names)]
    archive = zip_with(path, *placeholders)
    content = archive.read_bytes()
    for placeholder, name in zip(placeholders, names, strict=True):
        content = content.replace(placeholder.encode(), name)
    archive.write_bytes(content)
    return archive


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8", "cafe\u0301/1.png"), ("utf-8", "猫/1.png"), ("cp437", "Bär/1.png")]
)
def test_names_are_read_as_macos_and_windows_write_them(tmp_path: Path, encoding: str, name: str) -> None:
    with open_files(zip_with_bytes(tmp_path, name.encode(encoding)), max_file_bytes=100) as files:
        assert files.folders_in("") == {name.split("/", maxsplit=1)[0]}
        assert files.read(name) == b"0123456789"


@pytest.mark.parametrize("names", [("ソファ/1.jpg", "ソース/1.jpg"), ("十/1.png", "犬/2.png")])
def test_names_of_another_code_page_are_refused_rather_than_merged(tmp_path: Path, names: tuple[str, ...]) -> None:
    archive = zip_with_bytes(tmp_path, *(name.encode("cp932") for name in names))
    with (
        pytest.raises(DataError, match="names in an unknown encoding") as caught,
        open_files(archive, max_file_bytes=9),
    ):
        pass
    assert caught.value.hint == "unpack it, and name its folder"
