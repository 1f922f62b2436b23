"""How trials are trained, and what they keep: what a worker is told besides the spec."""

from __future__ import annotations

from pydantic import Field

from benchbench.config import defaults
from benchbench.config.validation import Table


class TrainingOptions(Table):
    """Options that do not decide the result of a trial. ``checkpoint_every`` is in seconds; 0 is after every epoch."""

    device: str = defaults.DEVICE
    artifacts: defaults.ArtifactLevel = defaults.ARTIFACTS
    accelerate: defaults.Accelerate = defaults.ACCELERATE
    compile: bool = False
    checkpoint_every: float | None = Field(default=None, ge=0)
