"""What a worker leaves of a finished trial: tables, images to draw, and the model."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml
from support import journals
from support.classifiers import classifier
from support.seen_images import keep_seen
from torch import nn

from benchbench.plugin.dataset import Split, Splits
from benchbench.worker.artifact_images import choose_test_images
from benchbench.worker.artifacts import write_predictions
from benchbench.worker.model_export import save_model

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.defaults import ArtifactLevel

CLASSES = ("goldfish", "cat, Persian")


def split(labels: list[int], *, names: bool = True) -> Split:
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4).contiguous()
    return Split(images, torch.tensor(labels), tuple(f"test_{row}.jpg" for row in range(len(labels))) if names else ())


def splits(labels: list[int], *, names: bool = True) -> Splits:
    return Splits(split([0, 0, 0, 0, 0, 1, 1]), split([0, 1]), split(labels, names=names), CLASSES)


def predicting(predicted: list[int], *, num_outputs: int = 2) -> torch.Tensor:
    probabilities = torch.full((len(predicted), num_outputs), 0.25 / (num_outputs - 1))
    probabilities[range(len(predicted)), predicted] = 0.75
    return probabilities


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """The artifacts of four test images, of which one was taken for another class."""
    folder = tmp_path / "attempt" / "artifacts"
    write_predictions(folder, predicting([0, 1, 1, 1]), splits([0, 0, 1, 1]), level="full")
    return folder


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_table_by_class_counts_images_and_hits(staged: Path) -> None:
    assert rows(staged / "per_class.csv") == [
        ["class", "images", "correct", "accuracy"],
        ["goldfish", "2", "1", "0.5"],
        ["cat, Persian", "2", "2", "1.0"],
    ]


def test_a_row_of_the_confusion_matrix_is_a_true_class(staged: Path) -> None:
    assert rows(staged / "confusion_matrix.csv") == [
        ["class", "goldfish", "cat, Persian"],
        ["goldfish", "1", "1"],
        ["cat, Persian", "0", "2"],
    ]


def test_every_test_image_has_a_line_with_its_prediction(staged: Path) -> None:
    header, *lines = rows(staged / "predictions.csv")
    assert header == ["image", "class", "prediction", "probability", "correct"]
    assert lines[1] == ["test_1.jpg", "goldfish", "cat, Persian", "0.75", "no"]
    assert [line[-1] for line in lines] == ["yes", "no", "yes", "yes"]


def test_probabilities_are_written_in_the_fewest_digits_that_tell_every_bit(tmp_path: Path) -> None:
    given = torch.rand(500, 2, generator=torch.Generator().manual_seed(0))
    labels = [0] * len(given)
    write_predictions(tmp_path, given, splits(labels), level="light")
    written = [row[3] for row in rows(tmp_path / "predictions.csv")[1:]]
    np.testing.assert_array_equal(np.array(written, dtype=np.float32), given.max(dim=1).values.numpy())
    assert max(map(len, written)) <= len("0.123456789")


def test_images_without_names_are_numbered(tmp_path: Path) -> None:
    given = splits([0, 1], names=False)
    write_predictions(tmp_path / "artifacts", predicting([0, 1]), given, level="light")
    assert [row[0] for row in rows(tmp_path / "artifacts" / "predictions.csv")[1:]] == ["test 0", "test 1"]


def test_an_output_beyond_the_classes_is_a_prediction_of_none_of_them(tmp_path: Path) -> None:
    given = predicting([0, 7, 5], num_outputs=9)
    write_predictions(tmp_path / "artifacts", given, splits([0, 0, 1]), level="light")
    assert rows(tmp_path / "artifacts" / "confusion_matrix.csv") == [
        ["class", "goldfish", "cat, Persian", "(other)"],
        ["goldfish", "1", "0", "1"],
        ["cat, Persian", "0", "0", "1"],
    ]
    assert rows(tmp_path / "artifacts" / "predictions.csv")[2][2] == "(other)"


def test_a_class_without_test_images_has_no_accuracy(tmp_path: Path) -> None:
    write_predictions(tmp_path / "artifacts", predicting([0]), splits([0]), level="light")
    assert rows(tmp_path / "artifacts" / "per_class.csv")[2] == ["cat, Persian", "0", "0", ""]


def test_a_full_run_keeps_images_of_each_class_and_some_with_their_predictions(staged: Path) -> None:
    assert sorted(path.name for path in staged.iterdir()) == [
        "confusion_matrix.csv",
        "per_class.csv",
        "predictions.csv",
        "samples.npz",
    ]
    with np.load(staged / "samples.npz", allow_pickle=False) as samples:
        assert samples["class_names"].tolist() == list(CLASSES)
        assert samples["test_images"].shape == (4, 3, 4, 4)
        assert samples["test_images"].dtype == np.uint8
        # Four training images of each class, the first ones.
        assert samples["train_images"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 5, 6]
        assert samples["train_labels"].tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(("level", "expected"), [("none", False), ("light", True)])
def test_lower_levels_keep_less(tmp_path: Path, level: ArtifactLevel, expected: bool) -> None:
    folder = tmp_path / "attempt" / "artifacts"
    write_predictions(folder, predicting([0, 1]), splits([0, 1]), level=level)
    assert (folder / "predictions.csv").exists() == expected
    assert not (folder / "samples.npz").exists()


def test_a_level_is_made_once_all_files_that_are_certain_in_it_are_there_or_were_sent(tmp_path: Path) -> None:
    journal = journals.write_journal(tmp_path, journals.started(), journals.epoch(1), journals.finished())
    write_predictions(journal.artifacts, predicting([0, 1]), splits([0, 1]), level="full")
    assert not journal.has_kept("full"), "there are no images as the network saw them"
    keep_seen(journal.artifacts, CLASSES)
    assert journal.has_kept("full")
    names = ("events.jsonl", "artifacts/samples.npz", "artifacts/seen.npz")
    journal.set_delivered({name: [1, 1] for name in names})
    journal.drop_artifacts()
    assert journal.has_kept("full")
    journal.set_delivered({name: [1, 1] for name in names[:2]})
    assert not journal.has_kept("full")


@pytest.mark.parametrize(
    ("num_right", "num_wrong", "expected_right", "expected_wrong"),
    [(99, 99, 8, 8), (99, 2, 14, 2), (1, 99, 1, 15), (99, 0, 16, 0), (0, 99, 0, 16), (3, 2, 3, 2), (0, 0, 0, 0)],
)
def test_half_of_sixteen_images_are_right_where_possible(
    num_right: int, num_wrong: int, expected_right: int, expected_wrong: int
) -> None:
    is_correct = np.array([True] * num_right + [False] * num_wrong, dtype=np.bool_)
    chosen = choose_test_images(is_correct)
    assert len(set(chosen.tolist())) == len(chosen)
    assert (is_correct[chosen].sum(), (~is_correct[chosen]).sum()) == (expected_right, expected_wrong)


class Specialised(nn.Module):
    """A network that fits batches of two alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.reshape(2, -1)[:, :3]


class Undecided(nn.Module):
    """A network whose way depends on what it sees, which no graph can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :3] if images.sum() > 0 else -images.flatten(1)[:, :3]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * 36, 5))


NAMES = ("a: b", 'c "d" \U0001f600')


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    assert save_model(folder, small_network(), torch.randn(2, 3, 8, 8), classifier(NAMES)) is None
    return folder


def test_a_saved_model_predicts_the_same_at_any_batch_size(exported: Path) -> None:
    import mlflow.pytorch

    model, network = mlflow.pytorch.load_model(str(exported)), small_network().eval()
    for batch_size in (1, 3, 7):
        images = torch.randn(batch_size, 3, 8, 8)
        torch.testing.assert_close(model(images), network(images))
    loaded = mlflow.pyfunc.load_model(str(exported))
    assert loaded.metadata.metadata == {"class_names": list(NAMES)}
    told = loaded.predict(np.zeros((4, 3, 8, 8), dtype=np.uint8))
    assert len(told) == 4
    assert list(told) == loaded.metadata.get_output_schema().input_names()


def test_a_saved_model_is_described_as_mlflow_itself_describes_it(exported: Path, tmp_path: Path) -> None:
    import mlflow.pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs, outputs = (Schema([TensorSpec(np.dtype("float32"), shape)]) for shape in ((-1, 3, 8, 8), (-1, 5)))
    mlflow.pytorch.save_model(
        small_network().eval(),
        tmp_path / "model",
        signature=ModelSignature(inputs, outputs),
        input_example=torch.randn(2, 3, 8, 8).numpy(),
        pip_requirements=(exported / "requirements.txt").read_text(encoding="utf-8").split(),
        metadata={"class_names": list(NAMES)},
        serialization_format="pt2",
    )
    ours, theirs = (
        yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8")) for folder in (exported, tmp_path / "model")
    )
    function = theirs["flavors"]["python_function"]
    assert function.pop("config") == {"device": None}
    assert function.pop("pickle_module_name")
    function["loader_module"] = "benchbench.worker.predictor"
    for key in ("flavors", "metadata", "mlflow_version", "model_id"):
        assert ours[key] == theirs[key]
    assert set(ours["signature"]) <= set(theirs["signature"])
    # What is left are MLflow's notes on the example, which we do not keep, and on how a signature was found.
    assert set(ours) <= set(theirs)
    environment = yaml.safe_load((exported / "python_env.yaml").read_text(encoding="utf-8"))
    their_environment = yaml.safe_load((tmp_path / "model" / "python_env.yaml").read_text(encoding="utf-8"))
    assert environment["python"] == their_environment["python"]
    assert environment["dependencies"] == their_environment["dependencies"]
    conda, their_conda = (
        yaml.safe_load((folder / "conda.yaml").read_text(encoding="utf-8")) for folder in (exported, tmp_path / "model")
    )
    assert (conda["name"], conda["channels"]) == (their_conda["name"], their_conda["channels"])
    assert sorted(conda["dependencies"][-1]["pip"]) == sorted(their_conda["dependencies"][-1]["pip"])


def test_saving_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    network = small_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert save_model(tmp_path / "model", network, torch.randn(2, 3, 8, 8), classifier(())) is None
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("network", [Specialised(), Undecided()])
def test_a_model_that_cannot_be_exported_leaves_a_reason_and_no_folder(
    tmp_path: Path, network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = save_model(tmp_path / "model", network, torch.randn(2, 3, 8, 8), classifier(()))
    assert reason
    assert "\n" not in reason
    assert not (tmp_path / "model").exists()
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_no_reason_to_go_without_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        """Fail as torch's zip writer does."""
        error = RuntimeError("unexpected pos 64 vs 0")
        error.__context__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise error

    monkeypatch.setattr(torch.export, "save", fill)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "model", network, torch.randn(2, 3, 8, 8), classifier(()))
    assert not (tmp_path / "model").exists()


def test_the_drivers_side_imports_no_torch() -> None:
    program = "import sys, benchbench.report.run_figures; print({'torch', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_saved_model_does_not_tell_where_its_code_was(exported: Path) -> None:
    folders = (os.path.dirname(torch.__file__), os.path.dirname(__file__))  # noqa: PTH120 - compared as text
    for path in exported.rglob("*"):
        if path.is_file():
            assert not any(code.encode() in path.read_bytes() for code in folders)


def test_an_image_whose_logits_are_no_numbers_is_of_no_class(tmp_path: Path) -> None:
    undefined = predicting([0, 1])
    undefined[0] = torch.nan
    write_predictions(tmp_path, undefined, splits([0, 1]), level="full")
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as file:
        assert [row["prediction"] for row in csv.DictReader(file)] == ["(other)", "cat, Persian"]
