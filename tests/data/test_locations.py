"""Which path of ``--data`` and ``BENCH_DATA`` a dataset is read from, and names that no dataset has."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from benchbench.data.locations import DataPaths, data_folder, parse_data_options
from benchbench.errors import DataError, SpecError
from benchbench.plugin.dataset import Download

KNOWN = ("digits", "squares", "tinyimage10", "tinyimage200")


def read(*options: str, used: tuple[str, ...] | None = None) -> DataPaths:
    return DataPaths.of(parse_data_options(options), known=KNOWN, used=used)


def refusal(*options: str, used: tuple[str, ...] | None = None) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(*options, used=used)
    return caught.value


def test_paths_are_read_with_and_without_names() -> None:
    option = read("some/path", "tinyimage10=other path/x=y.zip").option
    assert {name: str(path) for name, path in option.items()} == {
        "": "some/path",
        "tinyimage10": "other path/x=y.zip",
    }
    assert read() == DataPaths()


def test_a_path_with_an_equals_sign_is_a_path_behind_a_slash_or_if_it_exists(workdir: Path) -> None:
    assert {str(path) for path in read("./a=b").option.values()} == {"a=b"}
    assert {str(path) for path in read("/c/a=b").option.values()} == {"/c/a=b"}
    (workdir / "year=2026").mkdir()
    assert {name: str(path) for name, path in read("year=2026").option.items()} == {"": "year=2026"}
    error = refusal("yaer=2026")
    assert error.message == "--data yaer=2026: there is no dataset 'yaer'"
    assert "--data ./yaer=2026" in error.hint


def test_a_dataset_that_is_named_with_its_folder_and_file_has_a_path_too() -> None:
    assert parse_data_options(["v2/mine.py:cats=some/path"]) == {"v2/mine.py:cats": Path("some/path")}
    assert parse_data_options(["v2/mine.py/cats=some/path"]) == {"": Path("v2/mine.py/cats=some/path")}


def test_the_home_folder_is_known_after_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("squares=~/x").option == {"squares": tmp_path / "x"}


def test_a_name_that_no_dataset_has_is_refused_with_the_closest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal("tinyimag10=images.zip")
    assert error.message == "--data tinyimag10=images.zip: there is no dataset 'tinyimag10'"
    assert error.hint.startswith("did you mean 'tinyimage10'?")
    monkeypatch.setenv("BENCH_DATA", os.pathsep.join(["digits=here", "tinyimag10=images.zip"]))
    assert refusal().message == "BENCH_DATA tinyimag10=images.zip: there is no dataset 'tinyimag10'"


def test_a_dataset_that_no_trial_uses_is_refused_in_the_option_but_not_in_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = refusal("tinyimage200=images.zip", used=("tinyimage10",))
    assert error.message == "--data tinyimage200=images.zip: no trial uses dataset 'tinyimage200'"
    assert error.hint == "used: tinyimage10"
    monkeypatch.setenv("BENCH_DATA", "tinyimage200=images.zip")
    assert set(read(used=("tinyimage10",)).variable) == {"tinyimage200"}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([""], "has no path"),
        (["squares="], "has no path"),
        (["a", "b"], "two paths for all datasets"),
        (["squares=a", "squares=b"], "two paths for dataset 'squares'"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: list[str], problem: str) -> None:
    assert problem in refusal(*values).message


def test_a_name_goes_before_none_and_an_option_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {name: tmp_path / name for name in ("option", "named_option", "variable", "named_variable")}
    for path in paths.values():
        path.touch()
    monkeypatch.setenv("BENCH_DATA", os.pathsep.join([str(paths["variable"]), f"squares={paths['named_variable']}"]))
    both = read(str(paths["option"]), f"digits={paths['named_option']}")
    assert both.locate("digits", None) == paths["named_option"]
    assert both.locate("squares", None) == paths["option"]
    assert read().locate("squares", None) == paths["named_variable"]
    assert read(f"digits={paths['named_option']}").locate("tinyimage10", None) == paths["variable"]


def test_without_a_path_a_dataset_is_in_the_folder_of_downloads() -> None:
    download = Download("http://example.org/x.zip", "x.zip", 1, "")
    assert read().locate("squares", download) == data_folder() / "x.zip"
    assert read().locate("squares", None) == data_folder() / "squares"


@pytest.mark.parametrize("source", ["--data", "BENCH_DATA"])
def test_a_path_that_is_not_there_is_named_with_where_it_was_given(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "nowhere")
    if source == "BENCH_DATA":
        monkeypatch.setenv("BENCH_DATA", path)
    paths = read(path) if source == "--data" else read()
    with pytest.raises(DataError) as caught:
        paths.locate("squares", None)
    assert path in caught.value.message
    assert f"({source})" in caught.value.message


def test_a_path_that_cannot_be_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **_: object) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with pytest.raises(DataError, match=r"is not UTF-8 \(--data\)"):
        read(str(tmp_path / os.fsdecode(b"caf\xe9"))).locate("squares", None)
    paths = read(str(tmp_path / "photos"))
    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(DataError, match=r"cannot look at .*photos: Permission denied \(--data\)"):
        paths.locate("squares", None)


def test_the_home_of_nobody_is_not_found() -> None:
    with pytest.raises(DataError, match="no images of squares at ~no-such-user/photos: there is no such file"):
        read("~no-such-user/photos").locate("squares", None)
