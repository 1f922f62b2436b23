"""The names of the files that a trial, a grid or a timing leaves."""

from __future__ import annotations

EVENTS = "events.jsonl"
CHECKPOINT = "checkpoint.pt"
CLAIM = "claim.json"
MLFLOW_ASKED = "mlflow.asked"
MLFLOW_RUN = "mlflow.json"
MLFLOW_DELETED = "mlflow.deleted"
DELIVERED = "delivered"
DELIVERY_LOCK = "delivery.lock"
TRIAL_LOCK = "lock"
"""The docstring of ``journal.py`` tells what is in these."""

RECORD = "record.json"
SPEC = "spec.toml"
ENVIRONMENT = "environment.json"
PER_CLASS = "per_class.csv"
CONFUSION_MATRIX = "confusion_matrix.csv"
PREDICTIONS = "predictions.csv"
LAYERS = "layers.csv"
SAMPLES = "samples.npz"
"""Raw images: some of each class, and some of the test split with their predictions."""

SEEN = "seen.npz"
"""Training images as the network saw them."""

MODEL_FOLDER = "model"
MODEL_DESCRIPTION = "MLmodel"
"""In that folder; it is written last, so that a model without one is not whole."""

GRAPH = "model.pt2"
CLASSIFIER = "classifier.json"
"""What a model needs besides its network; both are in the folder ``data`` of a model."""

FIGURES_FOLDER = "figures"

REPORT = "report.html"
TRIALS = "trials.json"
GRID = "grid.toml"
TIMING = "timing.json"

OTHER = "(other)"
"""What tables call a prediction of none of the classes: a model may have more outputs than there are classes."""
