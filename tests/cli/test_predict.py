"""``bench predict``: what was trained, used on image files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.pyfunc
import numpy as np
import pytest
from PIL import Image
from support.commands import Bench
from support.paths import PLUGINS

if TYPE_CHECKING:
    from mlflow.entities import Run

CLASSES = ("green", "red", "blue")
FORMATS = ("png", "jpg", "bmp", "gif", "tiff", "webp")
TRAIN = ("run", "tiny", "imagefolder", "--data", "photos", "--plugins", PLUGINS / "tiny.py", "-b", 10, "-e", 1)
SETTINGS = ("--set", "dataset.image_size=24", "--set", "dataset.test_fraction=0.3", "--lr", 0.01)


def paint(folder: Path) -> None:
    """Write images of three classes, in many formats and sizes."""
    draw = np.random.default_rng(0)
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            pixels = draw.integers(0, 120, (20 + number, 40 - number, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(folder / name / f"{number:02}.{FORMATS[number % 6]}")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Bench:
    """Return a folder with a run whose model is kept, and one whose is not."""
    folder = tmp_path_factory.mktemp("predict")
    paint(folder / "photos")
    shutil.copy(empty_database, folder / "mlflow.db")
    made = Bench(folder, folder / "cache")
    for more in ((), ("--seed", 1, "--artifacts", "light")):
        done = made(*TRAIN, *SETTINGS, *more)
        assert done.returncode == 0, done.stderr
    return made


def run_of(bench: Bench, seed: int) -> Run:
    (run,) = [run for run in bench.runs() if run.data.params["seed"] == str(seed)]
    return run


def artifact(run: Run, name: str) -> Path:
    return Path(str(run.info.artifact_uri).removeprefix("file://")) / name


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_runs_table_a_csv_file_json_and_mlflow_say_the_same_of_test_images_bit_for_bit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(bench, 0)
    kept = table(artifact(run, "predictions.csv"))
    images = [f"photos/{row['image']}" for row in kept]
    assert len(images) > 15
    done = bench("predict", run.info.run_id[:8], *images, "-o", "told.csv", "--json")
    assert done.returncode == 0, done.stderr
    written, told = table(bench.folder / "told.csv"), json.loads(done.stdout)
    assert (told["run_id"], [row["image"] for row in told["images"]]) == (run.info.run_id, images)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{bench.folder / 'mlflow.db'}")
    monkeypatch.chdir(bench.folder)
    frame = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(images)
    assert list(written[0]) == list(frame)
    for row, in_csv, in_json, in_frame in zip(kept, written, told["images"], frame.to_dict("records"), strict=True):
        assert row["prediction"] == in_csv["prediction"] == in_json["prediction"] == in_frame["prediction"]
        expected = np.float32(row["probability"])
        assert {np.float32(each["probability"]) for each in (in_csv, in_json, in_frame)} == {expected}
        for name in CLASSES:
            column = f"probability_{name}"
            assert np.float32(in_csv[column]) == in_json["probabilities"][name] == in_frame[column]


@pytest.mark.slow
def test_a_folder_stands_for_all_images_in_it(bench: Bench) -> None:
    done = bench("predict", run_of(bench, 0).info.run_name, "photos", "-o", "all.csv")
    assert done.returncode == 0, done.stderr
    assert len({row["image"] for row in table(bench.folder / "all.csv")}) == 3 * 24


@pytest.mark.slow
def test_a_folder_that_was_moved_still_predicts(bench: Bench, tmp_path: Path) -> None:
    moved = Bench(Path(shutil.copytree(bench.folder, tmp_path / "moved")), bench.cache)
    done = moved("predict", run_of(bench, 0).info.run_id[:8], "photos/green/00.png")
    assert done.returncode == 0, done.stderr
    assert "photos/green/00.png" in done.stdout
    assert "with -o predictions.csv" in done.stdout


@pytest.mark.slow
def test_a_model_that_came_with_a_file_is_loaded_if_its_maker_is_trusted(
    bench: Bench, tmp_path: Path, empty_database: Path
) -> None:
    exported = bench("export", "-o", tmp_path / "results.bench", "--artifacts", "full")
    assert exported.returncode == 0, exported.stderr
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    other = Bench(tmp_path, bench.cache)
    assert other("import", "results.bench").returncode == 0
    (run,) = [run for run in other.runs() if run.data.params["seed"] == "0"]
    words = ("predict", run.info.run_id, bench.folder / "photos/green/00.png")
    refused = other(*words)
    assert refused.returncode == 2
    assert "came with a results file, and loading a model can run any code" in refused.stderr
    done = other(*words, "--trust", "--json")
    assert done.returncode == 0, done.stderr
    mine = bench("predict", run_of(bench, 0).info.run_id, bench.folder / "photos/green/00.png", "--json")
    assert json.loads(done.stdout)["images"] == json.loads(mine.stdout)["images"]
    (model,) = tmp_path.glob("mlruns/*/models/*")
    shutil.rmtree(model)
    gone = other(*words, "--trust")
    assert gone.returncode == 2
    assert "was deleted" in gone.stderr
    assert "db upgrade" not in gone.stderr


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("1", "photos"), "keeps no model", "unless --artifacts says otherwise"),
        (("tiny-sgd-imagefolder-s9", "photos"), "no run of experiment 'bench'", "did you mean 'tiny-sgd-imagefolder-s"),
        (("0" * 32, "photos"), "no run has the id", "`bench runs list`"),
        (("", "photos"), "no run of experiment 'bench' is ''", "`bench runs list`"),
        (("0", "nowhere.png"), "there is no image nowhere.png", "give image files"),
        (("0", ".bench"), "the folder .bench has no images in it", ""),
        (("0", "mlflow.db", "photos/red/00.png"), "1 image cannot be read: mlflow.db (", ""),
    ],
)
@pytest.mark.slow
def test_what_cannot_be_predicted_is_told_with_a_way_out(
    bench: Bench, words: tuple[str, ...], message: str, hint: str
) -> None:
    run, *images = words
    run = run_of(bench, int(run)).info.run_id if run in ("0", "1") else run
    done = bench("predict", run, *images, "-o", "refused.csv")
    assert done.returncode == 2
    assert message in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (bench.folder / "refused.csv").exists()


@pytest.mark.slow
def test_runs_of_one_name_are_told_apart_by_who_keeps_a_model(bench: Bench) -> None:
    ids = [run_of(bench, seed).info.run_id for seed in (0, 1)]
    name = run_of(bench, 1).info.run_name
    bench.client.update_run(ids[1], name=run_of(bench, 0).info.run_name)
    try:
        done = bench("predict", run_of(bench, 0).info.run_name, "photos")
    finally:
        bench.client.update_run(ids[1], name=name)
    assert done.returncode == 2
    assert "2 runs have the name 'tiny-sgd-imagefolder-s0'" in done.stderr
    assert f"{ids[1][:12]}, {ids[0][:12]} (keeps a model)" in " ".join(done.stderr.split())
