"""A saved model at work: image files or raw pixels in, classes and probabilities out.

MLflow loads it from a model's folder (``mlflow.pyfunc.load_model``). ``bench predict`` starts this module as a
process, and sends it a request in JSON.

Every pass has the same number of images, so that the probabilities of an image do not depend on the images beside it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from benchbench.data.damaged_images import unreadable
from benchbench.data.preparation import MAX_PIXEL, Classifier, as_images, read_files
from benchbench.errors import BenchError, DataError
from benchbench.processes import serve
from benchbench.protocol.prediction_messages import PredictRequest, PredictResponse
from benchbench.records import file_names
from benchbench.records.events import Error
from benchbench.records.json_adapter import json_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from benchbench.data.damaged_images import Problem

IMAGES_PER_PASS = 16
"""Images of a pass, the fewest with which an image's probabilities do not depend on its position in the pass.

With linear layers of 17 to 160 inputs and 1 to 10 outputs, MKL on a processor with AVX-512 gives some rows other sums
in passes of 2, 4, 6 to 10, 12 and 15 images, never in passes of 16, 24, 32 and 64 (1 and 2 threads).
"""

NO_IMAGES = "there are no images to predict"


@dataclass(frozen=True)
class Predictor:
    """A network, and what it needs to know about images."""

    network: Callable[[Tensor], Tensor]
    classifier: Classifier

    @staticmethod
    def load(folder: Path) -> Predictor:
        """Return the model in the folder ``data`` of an MLflow model folder."""
        classifier = Classifier.read(folder / file_names.CLASSIFIER)
        return Predictor(torch.export.load(folder / file_names.GRAPH).module(), classifier)

    def probabilities(
        self, images: NDArray[np.uint8] | Tensor, *, after_batch: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """Return float32 ``[N, K]`` for raw pixels uint8 ``[N, C, H, W]``, K at least the number of classes."""
        starts = range(0, len(images), IMAGES_PER_PASS)
        raw = (np.asarray(images[start : start + IMAGES_PER_PASS]) for start in starts)
        return self._probabilities(map(self.classifier.preparation.array, raw), after_batch)

    def _probabilities(
        self, batches: Iterable[NDArray[np.uint8]], after_batch: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """Return float32 ``[N, K]`` for prepared images; all batches but the last have ``IMAGES_PER_PASS`` of them."""
        rows = []
        with self._threads(), torch.no_grad():
            for batch in batches:
                rows.append(self._batch(batch))
                after_batch()
        return np.concatenate(rows)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a row for each image: ``image``, ``prediction``, ``probability``, and one column for each class.

        ``model_input``: paths or contents of image files, one or several, also as the first column of a data frame; or
        raw pixels as an array, ``[N, C, H, W]``, ``[N, H, W, C]`` or a single image.
        """
        import pandas as pd

        del params
        predicted = self._predicted(model_input)
        columns = zip(*predicted.by_class, strict=True)
        classes = {f"probability_{name}": column for name, column in zip(predicted.class_names, columns, strict=True)}
        frame = {"image": predicted.images, "prediction": predicted.predictions, "probability": predicted.probabilities}
        return pd.DataFrame(frame | classes)

    def predict_pixels(self, images: NDArray[np.uint8], names: Sequence[str]) -> PredictResponse:
        """Return what the model says of raw pixels uint8 ``[N, C, H, W]``, which have these names."""
        return self._response(self.probabilities(images), names)

    def predict_files(self, files: Sequence[tuple[str, bytes | Path]]) -> PredictResponse:
        """Return what the model says of the images in files, which have these names.

        Raises :class:`DataError` that names all damaged ones.
        """
        if not files:
            raise DataError(NO_IMAGES)
        return self._response(self._probabilities(self._prepared(files)), [name for name, _ in files])

    def _prepared(self, files: Sequence[tuple[str, bytes | Path]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in files in batches; after a damaged one, only look for others, and raise in the end."""
        problems: list[Problem] = []
        for start in range(0, len(files), IMAGES_PER_PASS):
            images, damaged = read_files(self.classifier.preparation, files[start : start + IMAGES_PER_PASS])
            problems += damaged
            if not problems:
                yield np.stack(images)
        if problems:
            raise unreadable(problems)

    def _response(self, probabilities: NDArray[np.float32], names: Sequence[str]) -> PredictResponse:
        class_names = self.classifier.class_names
        highest = probabilities.max(axis=1)
        # As in predictions.csv: a probability that is no number predicts no class.
        best = np.where(np.isnan(highest), len(class_names), probabilities.argmax(axis=1))
        return PredictResponse(
            images=tuple(names),
            class_names=class_names,
            predictions=tuple(class_names[row] if row < len(class_names) else file_names.OTHER for row in best),
            probabilities=tuple(highest.tolist()),
            by_class=tuple(map(tuple, probabilities[:, : len(class_names)].tolist())),
        )

    def _predicted(self, given: Any) -> PredictResponse:
        """Return what the model says of every input that :meth:`predict` accepts."""
        if hasattr(given, "iloc"):  # pandas: the first column of a frame, or a series
            given = (given.iloc[:, 0] if hasattr(given, "columns") else given).tolist()
        if isinstance(given, Mapping) and len(given) == 1:
            (given,) = given.values()
        items = [given] if isinstance(given, str | bytes | Path) else given
        is_array = isinstance(items, np.ndarray) and items.dtype.kind not in "OUS"
        if not is_array and isinstance(items, Iterable):
            elements = list(items)
            if all(isinstance(item, str | bytes | Path) for item in elements):
                files = [
                    (f"image {row}", item) if isinstance(item, bytes) else (str(item), Path(item))
                    for row, item in enumerate(elements)
                ]
                return self.predict_files(files)
        images = as_images(items, self.classifier.preparation.stored[0])
        if not len(images):
            raise DataError(NO_IMAGES)
        return self.predict_pixels(images, [f"image {row}" for row in range(len(images))])

    def _batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        preparation = self.classifier.preparation
        pixels = torch.from_numpy(np.ascontiguousarray(images))
        batch = torch.zeros(IMAGES_PER_PASS, *pixels.shape[1:], dtype=torch.float32)
        batch[: len(pixels)] = pixels
        # The order of operations is that of training, so that every bit is the same.
        batch.div_(MAX_PIXEL).sub_(_per_channel(preparation.mean)).div_(_per_channel(preparation.std))
        logits = self.network(batch)
        probabilities: NDArray[np.float32] = F.softmax(logits.float(), dim=1)[: len(pixels)].numpy()
        return probabilities

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Compute with as many threads as in the trial: sums are split by them."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.classifier.num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Predictor:
    """Load the model; MLflow calls this function by its name."""
    del model_config
    return Predictor.load(Path(path))


def answer(request: PredictRequest) -> PredictResponse:
    """Return what the model says, or what is wrong."""
    try:
        predictor = Predictor.load(Path(request.model_folder) / "data")
        return predictor.predict_files([(name, Path(name)) for name in request.images])
    except BenchError as error:
        return PredictResponse(error=Error(**error.to_json()))
    except Exception as error:  # noqa: BLE001 - a network of a stranger's; the driver must hear of it
        text = f"{type(error).__name__}: {error}"
        return PredictResponse(
            error=Error("ModelError", f"the model cannot predict: {text}", "", traceback.format_exc())
        )


def respond(request: bytes, send: Callable[[bytes], None]) -> None:
    """Send the answer to a request."""
    response = answer(json_adapter(PredictRequest).validate_json(request))
    send(json_adapter(PredictResponse).dump_json(response))


if __name__ == "__main__":
    serve(respond)
