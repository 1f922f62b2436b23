"""Which files are predicted."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
from support.permissions import forbid

from benchbench.driver.predict import find_files, predict
from benchbench.driver.watcher import Watcher
from benchbench.errors import DataError
from benchbench.protocol.prediction_messages import PredictResponse
from benchbench.records.json_adapter import json_adapter


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such names")
def test_an_image_whose_name_no_text_can_hold_is_named_before_a_process_is_asked(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn.png"))
    path.touch()
    for given in (path, tmp_path):
        with pytest.raises(DataError, match=r"gr\\udcfcn\.png' is not UTF-8"):
            list(find_files([given]))


def test_a_name_that_no_file_can_have_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot look at .*: File name too long"):
        list(find_files(tmp_path / ("x" * 300)))


def test_a_file_that_is_no_image_is_named_before_the_model_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    told = Told()
    with pytest.raises(DataError, match=r"1 image cannot be read: .*notes.txt \(no image in a format"):
        predict("no such run", tmp_path / "notes.txt", watcher=told)
    assert not told.statuses


class Told(Watcher):
    """Keeps what is done before an answer."""

    def __init__(self) -> None:
        self.statuses: list[str] = []

    def status(self, text: str) -> None:
        self.statuses.append(text)


def test_one_path_is_as_good_as_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for given in (str(tmp_path), tmp_path, [tmp_path]):
        assert list(find_files(given)) == [str(tmp_path / "a.png")]


def test_what_systems_and_network_drives_leave_in_a_folder_is_no_image(tmp_path: Path) -> None:
    left = ("@eaDir/a.png/THUMB_M.jpg", "#recycle/b.png", ".hidden/c.png", "__MACOSX/a.png", "mlruns/0/figure.png")
    for name in ("a.png", *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_files(tmp_path)) == [str(tmp_path / "a.png")]


def test_images_behind_links_are_predicted_and_links_that_lead_nowhere_are_told_of(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "new", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "1.png").touch()
    (elsewhere / "back").symlink_to(elsewhere)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    assert list(find_files(folder)) == [str(folder / "gone.png"), str(folder / "linked" / "1.png")]


def test_a_folder_inside_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    forbid(monkeypatch, tmp_path / "b")
    with pytest.raises(DataError, match=f"cannot read {tmp_path / 'b'}: Permission denied"):
        list(find_files(tmp_path))


def test_a_probability_that_is_no_number_reaches_the_driver() -> None:
    predicted = PredictResponse(("black.png",), ("a", "b"), ("(other)",), (math.nan,), ((math.nan, math.nan),))
    read: PredictResponse = json_adapter(PredictResponse).validate_json(
        json_adapter(PredictResponse).dump_json(predicted)
    )
    assert math.isnan(read.probabilities[0])
