"""The page of the first hour, followed by a new user: all of its commands, in their order, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.commands import Bench, call
from support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.entities import Run
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "first-hour.md").read_text(encoding="utf-8")
SMALLER = {
    "image_size=64": "image_size=32",
    "image_size = 64": "image_size = 32",
    "--epochs 10": "--epochs 1",
    "epochs = 10": "epochs = 1",
    "seeds = [0, 1, 2, 3, 4]": "seeds = [0, 1, 2]",
}
RUN_ID = "2c1307a1f0b9"
COLORS = {"cat": (200, 90, 60), "dog": (60, 170, 90), "yak": (70, 80, 210)}
PER_CLASS = 60
SPLITS = {"train": 144, "val": 18, "test": 18}


def blocks(language: str) -> list[str]:
    """Return the blocks of the page, with less to train."""
    texts = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for large, small in SMALLER.items():
        assert large in PAGE
        texts = [text.replace(large, small) for text in texts]
    return texts


def commands() -> list[str]:
    return [line for block in blocks("text") for line in block.splitlines() if line.startswith("bench ")]


def save_turned_jpeg(image: Image.Image, stem: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was held upright
    image.save(stem.with_suffix(".JPG"), exif=exif)


def save_transparent_png(image: Image.Image, stem: Path) -> None:
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(stem.with_suffix(".png"))


def save_palette_gif(image: Image.Image, stem: Path) -> None:
    image.quantize(32).save(stem.with_suffix(".GIF"))


def save_grey_png_of_16_bits(image: Image.Image, stem: Path) -> None:
    grey = np.asarray(image.convert("L"), dtype=np.uint16) * 257
    Image.fromarray(grey).save(stem.with_suffix(".PNG"))


def save_cmyk_jpeg(image: Image.Image, stem: Path) -> None:
    image.convert("CMYK").save(stem.with_suffix(".jpeg"))


def save_in_other_formats(image: Image.Image, stem: Path) -> None:
    number = int(stem.name)
    image.save(stem.with_suffix((".webp", ".bmp", ".TIFF")[number % 3]))


FORMATS: tuple[Callable[[Image.Image, Path], None], ...] = (
    save_turned_jpeg,
    save_transparent_png,
    save_palette_gif,
    save_grey_png_of_16_bits,
    save_cmyk_jpeg,
    save_in_other_formats,
)


def photograph(color: tuple[int, int, int], chance: np.random.Generator) -> Image.Image:
    width, height = chance.integers(30, 130, 2)
    noise: NDArray[np.int64] = chance.integers(-40, 40, (height, width, 3))
    return Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8))


def take_photographs(folder: Path) -> None:
    """Write photographs of three classes into ``photos``, in all sorts of formats, and two new ones into ``new``."""
    chance = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            save = FORMATS[number % len(FORMATS)]
            save(photograph(color, chance), folder / "photos" / name / f"{number:03}")
    (folder / "new").mkdir()
    for name in ("cat", "dog"):
        save_turned_jpeg(photograph(COLORS[name], chance), folder / "new" / name)


def follow_the_page(folder: Path) -> dict[str, str]:
    """Call the commands of the page one after another; return what each of them printed, by its first words."""
    (folder / "photos.toml").write_text("".join(blocks("toml")), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment["BENCH_CACHE"] = str(folder / "cache")
    told: dict[str, str] = {}
    for command in commands():
        _, *words = shlex.split(command)
        if RUN_ID in words:
            (run_id,) = re.findall(r"^next: bench predict (\w+) ", told["run resnet"], re.MULTILINE)
            words = [run_id if word == RUN_ID else word for word in words] + ["--json"]
        done = call(*words, folder=folder, environment=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        name = " ".join(words[:2]) if "--dry-run" not in words else "dry run"
        told[name] = done.stdout
    return told


def test_a_new_user_gets_from_photographs_to_a_report_by_the_commands_of_the_page(tmp_path: Path) -> None:
    take_photographs(tmp_path)
    told = follow_the_page(tmp_path)
    bench = Bench(tmp_path, tmp_path / "cache")

    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), dtype=int)
    for color in COLORS.values():
        assert abs(pixels - color).max(axis=2).min() < 10, "each class is on the sheet"

    first, *others = bench.runs()
    record = json.loads(artifact(first, "record.json").read_text(encoding="utf-8"))
    assert {part: split["num_images"] for part, split in record["data"]["splits"].items()} == SPLITS
    assert record["data"]["skipped"] == []
    assert re.search(r"accuracy: train [\d.]+%  val [\d.]+%  test [\d.]+%", told["run resnet"])
    assert "all checks passed" in told["plugin check"]

    predicted = json.loads(told["predict " + first.info.run_id[:12]])["images"]
    assert [image["image"] for image in predicted] == ["new/cat.JPG", "new/dog.JPG"]
    for image in predicted:
        assert image["prediction"] in COLORS
        assert set(image["probabilities"]) == set(COLORS)
        assert sum(image["probabilities"].values()) == pytest.approx(1)

    # The page's first trial is one of the grid's.
    assert told["dry run"].startswith("6 trials: 1 done, 0 to resume, 5 to run, about ")
    assert told["grid photos.toml"].count(" finished ") == 5
    assert [run.info.status for run in (first, *others)] == ["FINISHED"] * 7

    answer, *table = told["compare --grid"].splitlines()
    assert "model=mynet" in answer
    assert "model=resnet" in answer
    header = next(line for line in table if line.startswith(" model "))
    row = next(line for line in table if line.startswith(" mynet "))
    assert row[header.index("verdict") :].strip(), "a verdict or its reason"
    assert "trials: 6 finished" in table

    report = (tmp_path / "photos.html").read_text(encoding="utf-8")
    assert "Is my network better than a ResNet on my photos?" in report
    assert re.search(r">\s*(model=)?resnet\b", report)
    assert re.search(r">\s*(model=)?mynet\b", report)
    assert "trials: 7, grids: 1" in told["export -o"]


def artifact(run: Run, name: str) -> Path:
    return Path(str(run.info.artifact_uri).removeprefix("file://")) / name
