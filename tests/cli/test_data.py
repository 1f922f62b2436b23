from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.file_server import serving
from support.image_archives import jpeg, made_images, official, ready_cut, write_folder, write_zip
from support.paths import PLUGINS
from typer.testing import CliRunner

from benchbench.cli.data import _save
from benchbench.cli.main import make_app
from benchbench.errors import SpecError
from benchbench.paths import cache_folder

if TYPE_CHECKING:
    from click.testing import Result

PLUGIN = """
import benchbench as bb

class Fetched(bb.Dataset, name="fetched"):
    download = bb.Download(url="{url}", file_name="fetched.zip", num_bytes={num_bytes}, md5="{md5}")

    def load(self, root):
        raise bb.DataError("not needed")

@bb.hookimpl
def benchbench_datasets():
    return [Fetched]
"""


def png() -> bytes:
    Image.new("RGB", (64, 64), "gray").save(file := BytesIO(), "png")
    return file.getvalue()


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(make_app(), ["data", *map(str, arguments)])


def answer(*arguments: str | Path) -> Any:
    result = bench(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def plugin_file(folder: Path, url: str, content: bytes) -> Path:
    path = folder / "fetched.py"
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path.write_text(PLUGIN.format(url=url, num_bytes=len(content), md5=md5))
    return path


def test_list_says_what_is_here_and_how_to_get_what_is_not() -> None:
    result = bench("list")
    assert result.exit_code == 0
    assert "not here; bench data fetch tinyimage10" in result.stdout
    assert "248.1 MB" in result.stdout
    assert re.search(r"medmnist +not here; --data medmnist=PATH", result.stdout)
    assert re.search(r"imagelist +not here; --data imagelist=PATH", result.stdout)
    assert re.search(r"digits +needs no files", result.stdout)
    assert str(cache_folder() / "decoded") in result.stdout.replace("\n", "")


def test_list_knows_the_place_in_bench_data_and_the_size_of_the_decoded_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "some.zip"
    archive.write_bytes(bytes(1000))
    monkeypatch.setenv("BENCH_DATA", f"tinyimage10={archive}")
    decoded = cache_folder() / "decoded" / "digits" / "key"
    decoded.mkdir(parents=True)
    (decoded / "train.images.npy").write_bytes(bytes(5000))
    found = {dataset["name"]: dataset for dataset in answer("list")["datasets"]}
    assert found["tinyimage10"]["path"] == str(archive)
    assert found["tinyimage10"]["num_bytes"] == 1000
    assert found["tinyimage10"]["download_bytes"] == 248_100_043
    assert found["digits"] | {"path": None} == {
        "name": "digits",
        "path": None,
        "num_bytes": None,
        "download_bytes": None,
        "decoded_bytes": 5000,
        "has_files": False,
        "is_for_all": False,
        "problem": "",
    }


def test_list_tells_of_a_path_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", f"mnist={tmp_path / 'gone'}")
    datasets = {dataset["name"]: dataset for dataset in answer("list")["datasets"]}
    problem = f"no images of mnist at {tmp_path / 'gone'}: there is no such file or folder (BENCH_DATA)"
    assert (datasets["mnist"]["path"], datasets["mnist"]["problem"]) == (None, problem)
    assert datasets["cifar10"]["problem"] == ""
    assert problem[:20] in bench("list").stdout


def test_list_gives_no_dataset_the_size_of_a_folder_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/some.zip").write_bytes(bytes(7_000_000))
    monkeypatch.setenv("BENCH_DATA", "photos")
    output = bench("list").stdout
    assert "BENCH_DATA: photos" in output
    assert "7.0 MB" not in output


@pytest.mark.slow
def test_list_and_fetch_do_not_import_torch(tmp_path: Path) -> None:
    with serving(b"images") as server:
        plugin = plugin_file(tmp_path, server.url, b"images")
        script = (
            "import sys; from typer.testing import CliRunner; from benchbench.cli.main import make_app\n"
            f"for arguments in (['list'], ['fetch', 'fetched']):\n"
            f"    result = CliRunner().invoke(make_app(), ['data', *arguments, '--plugins', {str(plugin)!r}])\n"
            "    assert result.exit_code == 0, result.output\n"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"NO_PROXY": "*"})


@pytest.mark.slow
def test_fetch_says_where_the_file_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(b"images") as server:
        plugin = plugin_file(tmp_path, server.url, b"images")
        path = cache_folder() / "data" / "fetched.zip"
        assert answer("fetch", "fetched", "--plugins", plugin) == {
            "name": "fetched",
            "path": str(path),
            "num_bytes": 6,
        }
        assert path.read_bytes() == b"images"
        again = bench("fetch", "fetched", "--plugins", plugin)
        assert str(path) in again.stdout
        assert again.stdout.endswith("next: bench data show fetched -o sheet.png\n")
        monkeypatch.setenv("BENCH_DATA", str(tmp_path))
        elsewhere = bench("fetch", "fetched", "--plugins", plugin)
        assert f"bench data show fetched --data fetched={path} -o sheet.png\n" in elsewhere.stdout
        assert len(server.asked_ranges) == 1


def test_fetching_what_cannot_be_fetched_says_so() -> None:
    result = bench("fetch", "digits")
    assert result.exit_code == 2
    assert "error: dataset 'digits' has nothing to download" in result.stderr


def test_an_unknown_dataset_suggests_the_closest() -> None:
    result = bench("verify", "tinyimage")
    assert result.exit_code == 2
    assert "did you mean 'tinyimage10'?" in result.stderr


def test_verify_digits_counts_every_class() -> None:
    found = answer("verify", "digits")
    assert found["image_shape"] == [3, 64, 64]
    assert len(found["digest"]) == 32
    counts = [split["num_images_per_class"] for split in found["splits"].values()]
    assert sum(sum(class_names.values()) for class_names in counts) == 1797
    assert [list(class_names) for class_names in counts] == [list("0123456789")] * 3


def test_verify_knows_the_real_archive(tinyimage10_zip: Path) -> None:
    result = bench("verify", "tinyimage10", "--data", tinyimage10_zip)
    assert result.exit_code == 0, result.output
    assert "sha256 is as known" in result.stdout
    assert "boa constrictor" in result.stdout
    assert result.stdout.split()[-4:] == ["all", "4000", "500", "500"]


def test_verify_tells_of_images_that_are_in_two_splits(tmp_path: Path) -> None:
    members = ready_cut(made_images())
    members["val/n01443537/images/n01443537_0.JPEG"] = members["train/n01443537/images/n01443537_400.JPEG"]
    result = bench("verify", "tinyimage10", "--data", write_folder(tmp_path / "folder", members))
    assert "\nnote: 1 of 500 val images are in train as well\n" in result.stdout


def test_verify_of_a_folder_has_no_checksum_to_look_at(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", ready_cut(made_images()))
    found = answer("verify", "tinyimage10", "--data", folder)
    assert found["checksum"] == "there is no archive to check"
    assert found["source"] == str(folder)
    assert found["splits"]["val"]["num_images_per_class"]["goldfish"] == 50


def test_verify_of_a_renamed_archive_says_that_no_checksum_is_known(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "tinyimage10.zip", ready_cut(made_images())).rename(tmp_path / "mine.zip")
    assert answer("verify", "tinyimage10", "--data", archive)["checksum"] == "none is known for mine.zip"


@pytest.mark.parametrize(
    ("file_name", "layout", "reason"),
    [
        ("tiny-imagenet-200.zip", official, "bytes, not 248,100,043"),
        ("tinyimage10.zip", ready_cut, "has the wrong sha256 checksum"),
    ],
)
def test_verify_of_an_archive_with_another_checksum_fails(
    tmp_path: Path, file_name: str, layout: Any, reason: str
) -> None:
    archive = write_zip(tmp_path / file_name, layout(made_images()))
    result = bench("verify", "tinyimage10", "--data", archive)
    assert result.exit_code == 2
    assert str(archive) in result.stderr
    assert reason in result.stderr
    assert result.stdout == ""


def test_verify_names_an_image_that_is_not_as_it_should_be(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, ready_cut(made_images()))
    (folder / "val/n01443537/images/n01443537_7.JPEG").write_bytes(jpeg((1, 2, 3), size=(8, 8)))
    result = bench("verify", "tinyimage10", "--data", f"tinyimage10={folder}")
    assert result.exit_code == 2
    assert "val/n01443537/images/n01443537_7.JPEG has 8x8 pixels, not 64x64" in result.stderr


def test_a_name_in_data_that_is_not_the_datasets_is_refused() -> None:
    for name, message in (
        ("tinyimag10", "there is no dataset 'tinyimag10'\n  did you mean 'tinyimage10'?"),
        ("tinyimage200", "no trial uses dataset 'tinyimage200'\n  used: tinyimage10"),
    ):
        result = bench("verify", "tinyimage10", "--data", f"{name}=images.zip")
        assert result.exit_code == 2
        assert message in result.stderr


def test_verify_of_images_that_are_not_here_gives_the_ways_out() -> None:
    result = bench("verify", "tinyimage10")
    assert result.exit_code == 2
    for way in ("--data tinyimage10=PATH", "bench data fetch tinyimage10", "digits"):
        assert way in result.stderr


def test_show_draws_images_of_each_split(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = bench("show", "digits", "-o", sheet, "--images", "20", "--set", "dataset.image_size=80")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{sheet}: digits as the network sees it, 80x80 pixels",
        "next: bench run resnet digits --set dataset.image_size=80",
    ]
    with Image.open(sheet) as image:
        assert image.width > 10 * 80
        assert image.height > 3 * 2 * 80
        # the first image is padded with black, on white paper
        assert image.getpixel((8, 32)) == (0, 0, 0)
        assert image.getpixel((4, 32)) == (255, 255, 255)


@pytest.mark.slow
def test_show_draws_augmented_images_above_the_others(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = bench("show", "digits", "-o", sheet, "--images", "10", "--augment", "flip", "--debug")
    assert result.exit_code == 0, result.output
    augmented, stored = first_rows(sheet)
    same = [one == other for one, other in zip(augmented, stored, strict=True)]
    flipped = [one == ImageOps.mirror(other) for one, other in zip(augmented, stored, strict=True)]
    assert all(one or other for one, other in zip(same, flipped, strict=True))
    assert any(same)
    assert any(flipped)


def test_show_numbers_the_classes_that_its_font_cannot_write_and_prints_their_names(tmp_path: Path) -> None:
    for name in ("cat", "\u732b", "\u72ac"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(png())
    sheet = tmp_path / "sheet.png"
    photos = ("--data", tmp_path / "photos", "--set", "dataset.image_size=64")
    result = bench("show", "imagefolder", *photos, "-o", sheet, "--images", "3")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:3] == ["class 1: \u72ac", "class 2: \u732b"]
    with Image.open(sheet) as image:
        captions = [image.crop((8 + 72 * column, 97, 72 + 72 * column, 112)) for column in range(3)]
    assert len({caption.tobytes() for caption in captions}) == 3


def first_rows(sheet: Path) -> list[list[Image.Image]]:
    """Return ten training images of 64x64 pixels as a sheet shows them: augmented, and as they are stored."""
    with Image.open(sheet) as image:
        return [
            [image.crop((8 + 72 * column, top, 72 + 72 * column, top + 64)) for column in range(10)]
            for top in (32, 32 + image.height // 4)
        ]


def test_show_applies_augmentations_one_after_the_other_with_their_parameters(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    settings = ("flip.p=1", "random_erasing.p=1", "random_erasing.value=black")
    options = [word for setting in settings for word in ("--set", f"augmentation.{setting}")]
    options = ["--augment", "flip", "--augment", "random_erasing", *options]
    result = bench("show", "digits", "-o", sheet, "--images", "10", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"next: bench run resnet digits {' '.join(options)}"
    augmented, stored = (np.stack([np.asarray(image) for image in row]) for row in first_rows(sheet))
    mirrored = stored[:, :, ::-1]
    changed = augmented != mirrored
    assert changed.any()
    assert (augmented[changed] == 0).all()
    assert (mirrored != stored).any()


def test_show_takes_the_default_augmentation_of_the_dataset(tmp_path: Path) -> None:
    for number, image in enumerate(list(made_images().values())[:40]):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    sheet = tmp_path / "sheet.png"
    default = ("--augment", "default", "--set", "augmentation.p=1", "--set", "dataset.image_size=64")
    result = bench("show", "imagefolder", "--data", tmp_path / "images", "-o", sheet, "--images", "10", *default)
    assert result.exit_code == 0, result.output
    augmented, stored = first_rows(sheet)
    assert augmented == [ImageOps.mirror(image) for image in stored]
    assert augmented != stored


def test_show_names_the_augmentation_that_is_closest_to_an_unknown_one(tmp_path: Path) -> None:
    result = bench("show", "digits", "-o", tmp_path / "x.png", "--augment", "flipp")
    assert result.exit_code == 2
    assert "no augmentation named 'flipp'" in result.stderr
    assert "did you mean 'flip'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "sheet.txt"], "sheet.txt is not the name of an image file"),
        (["-o", "sheet.xbm"], "sheet.xbm cannot be written as XBM: cannot write mode RGB"),
        (["-o", "sheet.ico"], "sheet.ico would be an icon"),
        (["-o", "nowhere/sheet.png"], "there is no folder nowhere"),
        (["-o", "folder.png"], "folder.png is a folder"),
        (["-o", "x.png", "--set", "dataset.image_size=32"], "would cut the stored images of 64x64 pixels"),
        (["-o", "x.png", "--set", "model.depth=3"], "--set model.depth: this command looks at a dataset only"),
        (["-o", "x.png", "--set", "dataset.fits=crop"], "fits"),
        (["-o", "x.png", "--set", "augmentation.p=1"], "--augment default draws augmented images"),
        (["-o", "x.png", "--augment", "flip", "--set", "augmentation.q=1"], "augmentation 'flip' has no parameter 'q'"),
        (["-o", "x.png", "--augment", "flip", "--augment", "flip"], "'flip' is in the list twice"),
    ],
)
def test_show_refuses_what_it_cannot_draw(workdir: Path, arguments: list[str], message: str) -> None:
    (workdir / "folder.png").mkdir()
    result = bench("show", "digits", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_show_says_that_a_sheet_is_too_high_for_its_format(workdir: Path) -> None:
    sheet = Image.new("RGB", (1, 70_000))
    with pytest.raises(SpecError, match="cannot be written as JPEG") as caught:
        _save(sheet, Path("sheet.jpg"))
    assert caught.value.hint == "-o sheet.png, or fewer --images"
    assert not list(workdir.iterdir())
    _save(sheet, Path("sheet.png"))
    assert [path.name for path in workdir.iterdir()] == ["sheet.png"]


def test_verify_takes_parameters_and_leaves_no_decoded_images() -> None:
    small = [f"dataset.num_{part}=8" for part in ("train", "val", "test")]
    settings = [text for setting in small for text in ("--set", setting)]
    assert answer("verify", "synthetic", *settings)["splits"]["test"]["num_images"] == 8
    assert not list((cache_folder() / "decoded").iterdir())


def test_verify_names_a_list_of_damaged_files_that_can_be_opened(tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image" if number < 30 else png())
    (tmp_path / "photos" / "a" / "tab\tbed.png").write_bytes(b"no image")
    result = bench("verify", "imagefolder", "--data", tmp_path / "photos")
    assert result.exit_code == 2
    path = Path(" ".join(result.stderr.split()).partition("all are listed in ")[2].split(" ")[0])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 31
    assert sum(line.startswith("a/tab\\tbed.png\t") for line in lines) == 1


def test_what_a_plugin_prints_is_no_part_of_the_answer() -> None:
    result = bench("verify", "loud_images", "--plugins", PLUGINS / "loud_images.py", "--json")
    assert json.loads(result.stdout)["splits"]["train"]["num_images"] == 8
    assert "left out 40 files" in result.stderr


def test_images_are_verified_without_a_cache_that_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "/proc/benchbench")
    assert answer("verify", "digits")["splits"]["train"]["num_images"] > 0
