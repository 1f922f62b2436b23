"""A saved model at work, as ``mlflow.pyfunc`` loads it."""

from __future__ import annotations

import io
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from support.classifiers import classifier
from torch import nn

from benchbench.data.preparation import Classifier, Preparation
from benchbench.errors import DataError
from benchbench.protocol.prediction_messages import PredictRequest
from benchbench.worker.model_export import save_model
from benchbench.worker.predictor import IMAGES_PER_PASS, Predictor, answer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

CLASSES = ("left", "right")
SIDE = 8


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    folder = tmp_path_factory.mktemp("saved") / "model"
    assert save_model(folder, network, torch.randn(2, 3, SIDE, SIDE), classifier(CLASSES, side=SIDE)) is None
    return folder


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3 * IMAGES_PER_PASS + 1, 3, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture(scope="module")
def files(images: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{row:02}.png" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path)
    return list(map(str, paths))


def test_an_image_gets_the_same_probabilities_whatever_is_beside_it(saved: Path, images: NDArray[np.uint8]) -> None:
    predictor = Predictor.load(saved / "data")
    together = predictor.probabilities(images)
    assert together.shape == (len(images), 3)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-6)
    for row in range(len(images)):
        np.testing.assert_array_equal(predictor.probabilities(images[row : row + 1]), together[row : row + 1])
    order = np.random.default_rng(1).permutation(len(images))
    np.testing.assert_array_equal(predictor.probabilities(images[order]), together[order])


def test_a_small_last_layer_gives_an_image_the_same_probabilities_at_each_position() -> None:
    torch.manual_seed(0)
    last = nn.Linear(64, len(CLASSES))
    predictor = Predictor(lambda batch: last(batch.flatten(1)[:, :64]), classifier(CLASSES, side=SIDE))
    images = np.random.default_rng(0).integers(0, 256, (2 * IMAGES_PER_PASS, 3, SIDE, SIDE), dtype=np.uint8)
    together = predictor.probabilities(images)
    for shift in range(1, IMAGES_PER_PASS):
        moved = predictor.probabilities(np.roll(images, shift, axis=0))
        np.testing.assert_array_equal(np.roll(moved, -shift, axis=0), together)


def test_files_arrays_and_frames_say_the_same(saved: Path, images: NDArray[np.uint8], files: list[str]) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    told = model.predict(images)
    assert list(told) == ["image", "prediction", "probability", "probability_left", "probability_right"]
    contents = [Path(file).read_bytes() for file in files]
    given: list[Any] = [files, pd.DataFrame({"path": files}), pd.Series(files), np.array(files), contents]
    for each in (*given, {"inputs": images}, images.transpose(0, 2, 3, 1)):
        other = model.predict(each)
        pd.testing.assert_frame_equal(other.drop(columns="image"), told.drop(columns="image"), check_exact=True)
    assert list(model.predict(files)["image"]) == files
    pd.testing.assert_frame_equal(model.predict(files[0]), model.predict(files[:1]))


def test_an_output_that_is_no_class_is_told_as_such(saved: Path, images: NDArray[np.uint8]) -> None:
    predictor = Predictor.load(saved / "data")
    predictor = replace(predictor, network=lambda batch: torch.tensor([[0.0, 0.0, 5.0]]).expand(len(batch), 3))
    told = predictor.predict_pixels(images[:2], ("a", "b"))
    assert told.predictions == ("(other)", "(other)")
    assert told.probabilities[0] > 0.9
    assert len(told.by_class[0]) == len(CLASSES)


def test_a_probability_that_is_no_number_predicts_no_class() -> None:
    def network(batch: Tensor) -> Tensor:
        return torch.stack([batch.mean(dim=(1, 2, 3)).log(), torch.zeros(len(batch))], dim=1)

    predictor = Predictor(network, classifier(("bright", "dark")))
    pixels = np.stack([np.zeros((3, 8, 8), np.uint8), np.full((3, 8, 8), 255, np.uint8)])
    predicted = predictor.predict_pixels(pixels, ("black", "white"))
    assert predicted.predictions == ("(other)", "bright")
    assert math.isnan(predicted.probabilities[0])


def test_the_number_of_threads_is_left_as_it_was(saved: Path, images: NDArray[np.uint8]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        Predictor.load(saved / "data").probabilities(images)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_all_damaged_files_are_named_at_once(saved: Path, files: list[str], tmp_path: Path) -> None:
    bad = [tmp_path / "cut.png", tmp_path / "text.jpg"]
    bad[0].write_bytes(Path(files[0]).read_bytes()[:60])
    bad[1].write_text("no image", encoding="utf-8")
    told = answer(PredictRequest(str(saved), (str(bad[0]), *files, str(bad[1]))))
    assert told.error is not None
    assert told.error.kind == "DataError"
    assert told.error.message.startswith("2 images cannot be read: ")
    assert all(str(path) in told.error.message for path in bad)


def test_the_pixels_of_many_files_are_never_in_memory_at_once(files: list[str]) -> None:
    side, number = 256, 100
    preparation = Preparation(side, "pad", (0.5,) * 3, (0.5,) * 3, (3, SIDE, SIDE))
    predictor = Predictor(lambda batch: batch.flatten(1)[:, :2], Classifier(preparation, CLASSES, 1))
    tracemalloc.start()
    try:
        told = predictor.predict_files([(f"image {row}", Path(files[0])) for row in range(number)])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(told.predictions) == number
    assert peak_bytes < number * 3 * side**2 / 2


@pytest.mark.parametrize(("fit", "side"), [("pad", 15), ("crop", 6), ("pad", 8)])
def test_files_and_arrays_are_prepared_once(fit: Literal["pad", "crop"], side: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    weights = torch.from_numpy(chance.standard_normal((3 * side * side, 2)).astype(np.float32))
    preparation = Preparation(side, fit, (0.5,) * 3, (0.5,) * 3, (3, SIDE, SIDE))
    predictor = Predictor(lambda batch: batch.flatten(1) @ weights / side, Classifier(preparation, CLASSES, 1))
    images = chance.integers(0, 256, (3, 3, SIDE, SIDE), dtype=np.uint8)
    paths = [tmp_path / f"{row}.png" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path)
    expected = predictor.probabilities(images)
    for given in (paths, images):
        told = predictor.predict(given)
        np.testing.assert_array_equal(told[["probability_left", "probability_right"]].to_numpy(np.float32), expected)


UNEQUAL = [np.zeros((3, 8, 8), dtype=np.uint8), np.zeros((3, 9, 8), dtype=np.uint8)]


@pytest.mark.parametrize("given", [[], np.zeros((2, 5, 5)), [1, 2], 3, np.zeros((0, 3, 8, 8), dtype=np.uint8), UNEQUAL])
def test_what_is_no_image_is_refused(saved: Path, given: object) -> None:
    with pytest.raises(DataError):
        Predictor.load(saved / "data").predict(given)


def test_bytes_of_a_file_are_an_image(saved: Path, images: NDArray[np.uint8]) -> None:
    Image.fromarray(np.ascontiguousarray(images[0].transpose(1, 2, 0))).save(file := io.BytesIO(), "bmp")
    predictor = Predictor.load(saved / "data")
    assert predictor.predict(file.getvalue())["probability"][0] == predictor.predict(images[0])["probability"][0]
