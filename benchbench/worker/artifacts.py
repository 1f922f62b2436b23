"""The files that a finished trial leaves for its run: tables and, if all is kept, images to draw and the model.

::

    <attempt>/artifacts/per_class.csv           how many test images of each class were predicted correctly
    <attempt>/artifacts/confusion_matrix.csv    a row for each true class, a column for each prediction
    <attempt>/artifacts/predictions.csv         the prediction for each test image
    <attempt>/artifacts/layers.csv              the network's layers, see benchbench.worker.layer_table
    <attempt>/artifacts/samples.npz             raw images: some of each class, and some with their predictions
    <attempt>/artifacts/seen.npz                some images of each split as the network saw them
    <attempt>/artifacts/model/                  an MLflow model folder

Which level includes which of them is in benchbench.records.artifact_files, with the columns of the tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.data.preparation import Classifier
from benchbench.errors import BenchError
from benchbench.records import file_names
from benchbench.records.artifact_files import kept_at
from benchbench.records.events import MODEL_NOT_SAVED
from benchbench.records.tracebacks import trace
from benchbench.worker.artifact_images import save_samples, save_seen
from benchbench.worker.artifact_tables import (
    PredictedClasses,
    save_confusion_matrix,
    save_layers,
    save_per_class,
    save_predictions,
)
from benchbench.worker.model_export import save_model
from benchbench.worker.predictor import Predictor

if TYPE_CHECKING:
    from torch import Tensor

    from benchbench.config.defaults import ArtifactLevel
    from benchbench.protocol.jobs import TrialJob
    from benchbench.worker.setup import ReadyTrial
    from benchbench.worker.splits import TensorSplits
    from benchbench.worker.train import BatchCounter


def write_artifacts(job: TrialJob, ready: ReadyTrial, test_logits: Tensor, *, counter: BatchCounter) -> list[str]:
    """Write what the run keeps; return notes on what could not be kept."""
    folder = Path(job.folder) / "artifacts"
    probabilities = F.softmax(test_logits, dim=1)
    images, _ = next(ready.test.in_order())
    model = ready.learner.evaluated
    notes, kept = [], kept_at(job.training.artifacts)
    if file_names.MODEL_FOLDER in kept:
        classifier = Classifier(ready.preparation, ready.splits.class_names, ready.started.machine.num_threads)
        example = images[:2].cpu() if len(images) > 1 else images.cpu().repeat(2, 1, 1, 1)
        problem = save_model(folder / file_names.MODEL_FOLDER, model, example, classifier)
        if problem:
            notes.append(f"{MODEL_NOT_SAVED}: {problem}")
        else:
            probabilities, note = _as_saved(folder / file_names.MODEL_FOLDER, ready, probabilities, counter)
            notes += filter(None, [note])
    notes += write_predictions(folder, probabilities, ready.splits, level=job.training.artifacts)
    if file_names.SEEN in kept:
        save_seen(folder / file_names.SEEN, ready, seed=job.spec.seed)
    problem = save_layers(folder / file_names.LAYERS, model, images[:1]) if file_names.LAYERS in kept else None
    return [f"the layers were not listed: {problem}", *notes] if problem else notes


def write_predictions(folder: Path, probabilities: Tensor, splits: TensorSplits, *, level: ArtifactLevel) -> list[str]:
    """Write the tables of the predictions for the test images, and raw images; return notes on what is left out.

    probabilities: float32 ``[N, K]`` on the CPU, K at least the number of classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    predictions, kept = PredictedClasses.of(probabilities, splits.test.labels, splits.class_names), kept_at(level)
    notes: list[str | None] = []
    if file_names.PER_CLASS in kept:
        save_per_class(folder / file_names.PER_CLASS, predictions)
    if file_names.CONFUSION_MATRIX in kept:
        notes.append(save_confusion_matrix(folder / file_names.CONFUSION_MATRIX, predictions))
    if file_names.PREDICTIONS in kept:
        save_predictions(folder / file_names.PREDICTIONS, predictions, splits.test)
    if file_names.SAMPLES in kept:
        save_samples(folder / file_names.SAMPLES, predictions, splits)
    return list(filter(None, notes))


def _as_saved(folder: Path, ready: ReadyTrial, probabilities: Tensor, counter: BatchCounter) -> tuple[Tensor, str]:
    """Return the probabilities as the saved model computes them, to the bit, and a note if that cannot be.

    The saved model computes on the CPU, in fp32 and without acceleration.
    """
    acceleration = ready.learner.acceleration
    if acceleration.device.type != "cpu" or acceleration.precision != "fp32":
        return probabilities, ""
    try:
        predictor = Predictor.load(folder / "data")
        saved = torch.from_numpy(predictor.probabilities(ready.splits.test.images, after_batch=counter.check))
    except (BenchError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - torch may be unable to load what it wrote; training is worth more
        trace(error)
        return probabilities, f"the saved model cannot be used here: {type(error).__name__}: {error}"
    num_others = int((saved.argmax(dim=1) != probabilities.argmax(dim=1)).sum())
    if num_others:
        return probabilities, f"the saved model rounds differently: {num_others} test images get another class"
    return saved, ""
