"""What the driver asks of a process that predicts, and what that answers."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import with_config

from benchbench.records.events import Error


@dataclass(frozen=True)
class PredictRequest:
    """Predict the classes of image files with the model in an MLflow model folder."""

    model_folder: str
    images: tuple[str, ...]


@with_config(ser_json_inf_nan="strings")
@dataclass(frozen=True)
class PredictResponse:
    """What a model says of images, in their order.

    ``predictions`` are names of classes, or ``(other)`` for an output that is none of them and for a probability that
    is no number; ``probabilities`` those of the predictions; ``by_class`` those of all ``class_names``, image by image.
    If ``error`` is there, nothing else is.
    """

    images: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    by_class: tuple[tuple[float, ...], ...] = ()
    error: Error | None = None
