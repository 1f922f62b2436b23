"""``bench.predict``: predict the classes of image files with the model of a run."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.defaults import default_experiment
from benchbench.data.file_states import leads_back
from benchbench.data.image_files import image_suffixes, is_shown, suffix_of
from benchbench.data.preparation import check_are_images
from benchbench.driver.watcher import Watcher
from benchbench.errors import DataError, counted
from benchbench.processes import ask, exit_reason
from benchbench.protocol.prediction_messages import PredictRequest, PredictResponse
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NUM_CHECKED = 100
"""How many files are opened before the model is fetched, which takes seconds; more would take time themselves."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of a run's model for images, in their order."""

    run_id: str
    run_name: str
    predicted: PredictResponse


def predict(
    run: str,
    images: str | Path | Iterable[str | Path],
    *,
    experiment: str | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
) -> Predictions:
    """Predict the classes of image files, or of all images in folders, with the model of a run.

    ``run`` is a run id of MLflow or the beginning of one, or the name of a run, in ``experiment``. A model that came
    with a results file is loaded only with ``trust``, since loading a model can run any code. Raises
    :class:`~benchbench.errors.BenchError` for a run without a model and for files that are not images.
    """
    from benchbench.tracking.run_models import fetch_model

    watcher = watcher or Watcher()
    files = tuple(find_files(images))
    check_are_images(map(Path, files[:NUM_CHECKED]))
    watcher.status("looking for the model")
    with tempfile.TemporaryDirectory(prefix="benchbench-") as folder:
        model = fetch_model(run, experiment or default_experiment(), Path(folder), trust=trust)
        watcher.status(f"predicting {counted(len(files), 'image')}")
        answer = _ask(PredictRequest(str(model.folder), files))
    if answer.error is not None:
        raise answer.error.to_exception()
    return Predictions(model.run_id, model.run_name, answer)


def find_files(paths: str | Path | Iterable[str | Path]) -> Iterator[str]:
    """Yield files as they are named, and for a folder the images in it and below it, in the order of their names.

    Raises :class:`~benchbench.errors.DataError` for a path that is not there or cannot be looked at, for a folder
    without images or with one in it that cannot be read, and for a name that is not UTF-8.
    """
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:  # a folder that one may not enter, or a name that is too long
            raise DataError(f"cannot look at {path}: {error.strerror}") from error
        if not is_folder:
            if not is_there:
                raise DataError(f"there is no image {path}", hint="give image files, or folders of them")
            yield _readable(path)
            continue
        try:
            inside = sorted(_images_below(path))
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
        if not inside:
            raise DataError(f"the folder {path} has no images in it")
        yield from map(_readable, inside)


def _readable(path: Path) -> str:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(f"the name of {str(path)!r} is not UTF-8", hint="rename the file") from None
    return str(path)


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield the images in a folder and below it, also through links, and links that lead nowhere: reading them fails.

    Raises :class:`OSError` for a folder that cannot be read.
    """
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=_raise):
        inside = Path(parent)
        subfolders[:] = [name for name in subfolders if is_shown(name) and not leads_back(inside / name)]
        images = (inside / name for name in names if is_shown(name) and suffix_of(name) in image_suffixes())
        yield from (image for image in images if image.is_file() or image.is_symlink())


def _raise(error: OSError) -> None:
    raise error


def _ask(request: PredictRequest) -> PredictResponse:
    """Return what a process with torch in it answers."""
    done = ask("benchbench.worker.predictor", json_adapter(PredictRequest).dump_json(request))
    if not done.answers:
        raise DataError("\n".join([f"the process that predicts ended with {exit_reason(done.code)}", *done.last_lines]))
    predicted: PredictResponse = json_adapter(PredictResponse).validate_json(done.answers[0])
    return predicted
