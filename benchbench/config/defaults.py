"""Default settings of a trial, and the settings with a fixed set of choices.

No slow imports here: the command line shows the defaults before it knows which command will run.
"""

from __future__ import annotations

import os
from typing import Literal

Precision = Literal["fp32", "tf32", "bf16"]

Select = Literal["last", "best_val"]
"""Which network a trial ends with: that of its last epoch, or that of its best validation accuracy."""

Accelerate = Literal["auto", "off"]
"""Whether steps may use faster kernels that compute the same, or only plain PyTorch."""

ExecutorName = Literal["local", "ray"]
"""Where trials run: in processes on this machine, or on Ray."""

ArtifactLevel = Literal["none", "light", "full"]
"""What a trial keeps besides its record: nothing; tables; or tables, figures and the model."""

LOSS = "cross_entropy"
OPTIMIZER = "sgd"
SCHEDULER = "constant"
EPOCHS = 10
BATCH_SIZE = 32
SEED = 0
PRECISION: Precision = "fp32"
SELECT: Select = "last"
DEVICE = "auto"
ARTIFACTS: ArtifactLevel = "full"
ARTIFACTS_OF_GRID: ArtifactLevel = "light"
ACCELERATE: Accelerate = "auto"
CONFIDENCE = 0.95

DEFAULT_EXPERIMENT = "bench"


def default_experiment() -> str:
    """Return the name of the experiment if none is given: ``MLFLOW_EXPERIMENT_NAME``, else ``bench``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
