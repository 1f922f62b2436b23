from __future__ import annotations

import hashlib
import random
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.file_server import FileServer, serving

from benchbench.data import download as fetching
from benchbench.data.download import ensure, fetch
from benchbench.data.locations import DataPaths
from benchbench.errors import DataError
from benchbench.paths import cache_folder
from benchbench.plugin.dataset import Download, Downloads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(0).randbytes(1_000_000)  # noqa: S311 - no secret
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(autouse=True)
def _no_wait_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(CONTENT) as files:
        yield files


def download_from(url: str, *, num_bytes: int = len(CONTENT), md5: str = MD5) -> Download:
    return Download(url=url, file_name="images.zip", num_bytes=num_bytes, md5=md5)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_file_is_fetched_whole_and_nothing_else_is_left(server: FileServer, tmp_path: Path) -> None:
    path = fetch(download_from(server.url), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "images.zip"
    assert path.read_bytes() == CONTENT
    assert names_in(path.parent) == {"images.zip"}


def test_progress_grows_to_the_whole(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(download_from(server.url), tmp_path, on_progress=lambda here, total: seen.append((here, total)))
    assert [here for here, _ in seen] == sorted(here for here, _ in seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_here_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    first = fetch(download_from(server.url), tmp_path)
    assert fetch(download_from(server.url), tmp_path) == first
    assert len(server.asked_ranges) == 1


def test_a_download_resumes_after_a_lost_connection(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [300_000, 300_000]
    path = fetch(download_from(server.url), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.asked_ranges[0] is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.asked_ranges[1:] if asked]
    assert 0 < starts[0] <= 300_000 < starts[1] <= 600_000


def test_a_download_resumes_from_the_partial_file_of_an_earlier_call(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "images.zip.partial").write_bytes(CONTENT[:123_456])
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=123456-"]


def test_a_whole_partial_file_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "images.zip.partial").write_bytes(CONTENT)
    assert fetch(download_from("http://127.0.0.1:1/"), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_the_whole(server: FileServer, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "images.zip.partial").write_bytes(b"x" * 123_456)
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT


def test_a_server_that_goes_on_elsewhere_is_asked_for_the_whole(server: FileServer, tmp_path: Path) -> None:
    server.range_offset = 1
    (tmp_path / "images.zip.partial").write_bytes(CONTENT[:123_456])
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges == ["bytes=123456-", None]


@pytest.mark.parametrize("size", [len(CONTENT) + 1, 3 * len(CONTENT)])
def test_a_partial_file_longer_than_the_whole_is_thrown_away(server: FileServer, tmp_path: Path, size: int) -> None:
    (tmp_path / "images.zip.partial").write_bytes(bytes(size))
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT


def test_a_server_that_stumbles_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 500]
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_not_on_the_server_is_said_at_once(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(DataError, match=r"cannot download http://.*: the server answers 404 Not Found"):
        fetch(download_from(server.url), tmp_path)
    assert len(server.asked_ranges) == 1


def test_a_file_with_another_checksum_is_refused_and_removed(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"wrong MD5 checksum: {MD5}, not 0000"):
        fetch(download_from(server.url, md5="0000"), tmp_path)
    assert names_in(tmp_path) == set()


def test_a_file_longer_than_expected_is_refused_before_it_fills_the_disk(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not the file expected: .* bytes, not 10$"):
        fetch(download_from(server.url, num_bytes=10), tmp_path)
    assert names_in(tmp_path) == set()


def test_a_file_shorter_than_expected_is_given_up(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot download http"):
        fetch(download_from(server.url, num_bytes=len(CONTENT) + 1), tmp_path)
    assert "images.zip" not in names_in(tmp_path)


def test_what_came_before_the_connection_broke_for_good_stays(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [200_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"cannot download"):
        fetch(download_from(server.url), tmp_path)
    assert names_in(tmp_path) == {"images.zip.partial"}
    assert CONTENT.startswith((tmp_path / "images.zip.partial").read_bytes())
    server.cuts = []
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges[-1] != "bytes=0-"


def test_an_interrupt_leaves_what_came_for_the_next_time(server: FileServer, tmp_path: Path) -> None:
    def interrupt(here: int, total: int) -> None:
        if here > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(download_from(server.url), tmp_path, on_progress=interrupt)
    assert (tmp_path / "images.zip.partial").stat().st_size > len(CONTENT) // 2
    assert fetch(download_from(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked_ranges[1] is not None


def test_two_processes_at_once_download_once(server: FileServer, tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from benchbench.data.download import fetch;"
        "from benchbench.plugin.dataset import Download;"
        f"fetch(Download({server.url!r}, 'images.zip', {len(CONTENT)}, {MD5!r}), pathlib.Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert (tmp_path / "images.zip").read_bytes() == CONTENT
    assert len(server.asked_ranges) == 1


def test_a_folder_that_cannot_be_written_to_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write to .*file"):
        fetch(download_from(server.url), tmp_path / "file")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_images_that_cannot_be_had_come_with_the_ways_out() -> None:
    download = download_from(f"http://127.0.0.1:{free_port()}/images.zip")
    with pytest.raises(DataError) as caught:
        ensure("squares", download, DataPaths())
    assert "images of squares are not here: cannot download http://127.0.0.1:" in caught.value.message
    assert "refused" in caught.value.message
    for way in ("--data squares=PATH", "bench data fetch squares", "digits"):
        assert way in caught.value.hint


def test_ensure_fetches_into_the_cache_folder_only_what_is_nowhere(server: FileServer, tmp_path: Path) -> None:
    download = download_from(server.url)
    (tmp_path / "mine.zip").touch()
    assert ensure("squares", download, DataPaths({"": tmp_path / "mine.zip"})) == tmp_path / "mine.zip"
    assert server.asked_ranges == []
    fetched = ensure("squares", download, DataPaths())
    assert fetched == cache_folder() / "data" / "images.zip"
    assert fetched.read_bytes() == CONTENT
    assert ensure("squares", download, DataPaths()) == fetched
    assert len(server.asked_ranges) == 1


def test_several_files_go_into_a_folder_and_only_missing_ones_are_fetched(server: FileServer) -> None:
    files = tuple(Download(server.url, name, len(CONTENT), MD5) for name in ("a.gz", "b.gz"))
    download = Downloads("both", files)
    seen: list[tuple[int, int]] = []
    folder = ensure("both", download, DataPaths(), on_progress=lambda *numbers: seen.append(numbers))
    assert names_in(folder) == {"a.gz", "b.gz"}
    assert seen == sorted(seen)
    assert seen[-1] == (2 * len(CONTENT), 2 * len(CONTENT))
    before = len(server.asked_ranges)
    (folder / "b.gz").unlink()
    assert ensure("both", download, DataPaths()) == folder
    assert len(server.asked_ranges) == before + 1


def test_a_dataset_without_download_has_a_place_that_need_not_exist() -> None:
    assert ensure("squares", None, DataPaths()) == cache_folder() / "data" / "squares"


def test_check_file_tells_a_wrong_size_from_a_wrong_checksum(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    path.write_bytes(CONTENT)
    fetching.check_file(path, download_from(""))
    with pytest.raises(DataError, match=r"has 1,000,000 bytes, not 5"):
        fetching.check_file(path, download_from("", num_bytes=5))
    with pytest.raises(DataError, match=r"wrong MD5"):
        fetching.check_file(path, download_from("", md5="0"))
