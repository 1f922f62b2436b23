"""Checkpoints: all that a trial needs to go on from the end of an epoch as if it had never stopped.

A file is replaced whole or not at all. It holds tensors and plain values only and is read with torch's
``weights_only``, so that reading one never runs code.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchbench.errors import TrialError
from benchbench.paths import replacing
from benchbench.records.events import EpochFinished, Times, event_from_json, event_to_json
from benchbench.records.state import GOES_ON

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.records.events import Started
    from benchbench.worker.train import Learner

FORMAT = 1
SHARE_OF_TIME = 0.01
"""What writing checkpoints may cost, as a share of the wall clock, where no cadence is asked for."""

DEFAULT_SECONDS = 60.0


class CheckpointError(TrialError):
    """A checkpoint that cannot be written, or cannot be used."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a trial stood at the end of an epoch. ``states`` are the state_dicts of model, optimizer and scheduler."""

    epochs: tuple[EpochFinished, ...]
    states: dict[str, Any]
    random_states: dict[str, Any]
    times: Times

    def restore(self, learner: Learner) -> None:
        """Bring the learner and all random generators to where they stood."""
        learner.model.load_state_dict(self.states["model"])
        learner.optimizer.load_state_dict(self.states["optimizer"])
        learner.schedule.scheduler.load_state_dict(self.states["scheduler"])
        _set_random_states(self.random_states)


class Cadence:
    """When the next checkpoint is due: ``every_seconds`` after the last, or, where None, when it costs little.

    ``now`` is the trial's own time in seconds, whatever its zero.
    """

    def __init__(self, every_seconds: float | None) -> None:
        self._every_seconds = every_seconds
        self._last = 0.0
        self._cost = 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether a checkpoint should be written at this end of an epoch."""
        if self._every_seconds is not None:
            return now - self._last >= self._every_seconds
        return now - self._last >= max(DEFAULT_SECONDS, self._cost / SHARE_OF_TIME)

    def written(self, now: float, *, cost_seconds: float) -> None:
        """Take note of a checkpoint and of what it cost."""
        self._last, self._cost = now, cost_seconds


def save(path: Path, learner: Learner, epochs: tuple[EpochFinished, ...], *, started: Started, times: Times) -> None:
    """Write a checkpoint; when this returns it is on disk, and until then the one before it is.

    Raises :class:`CheckpointError` where there is no room for it.
    """
    content = {
        "format": FORMAT,
        "spec_id": started.spec.id,
        "data_digest": started.data.digest,
        "epochs": [event_to_json(epoch) for epoch in epochs],
        "states": {
            "model": learner.model.state_dict(),
            "optimizer": learner.optimizer.state_dict(),
            "scheduler": learner.schedule.scheduler.state_dict(),
        },
        "random_states": _random_states(),
        "times": asdict(times),
    }
    try:
        with replacing(path, is_only_writer=True) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        # torch's zip writer reports a full disk as a RuntimeError of its own, while handling the real one.
        reason = error.__context__ if isinstance(error.__context__, OSError) else error
        raise CheckpointError(
            f"the checkpoint {path} cannot be written: {reason}",
            hint=GOES_ON,
        ) from error


def load(path: Path, *, started: Started) -> Checkpoint:
    """Read the checkpoint of the same spec and images; raises :class:`CheckpointError` saying why it is of no use."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = (content["format"], content["spec_id"], content["data_digest"])
        checkpoint = Checkpoint(
            epochs=tuple(_epoch_events(content["epochs"])),
            states=content["states"],
            random_states=content["random_states"],
            times=Times(**content["times"]),
        )
    except Exception as error:  # a damaged file makes torch raise many kinds
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"the checkpoint {path} is damaged: {type(error).__name__}: {reason}") from error
    if found != (FORMAT, started.spec.id, started.data.digest):
        raise CheckpointError(f"the checkpoint {path} is of another version, spec or data")
    return checkpoint


def _epoch_events(lines: list[str]) -> list[EpochFinished]:
    return [event for event in map(event_from_json, lines) if isinstance(event, EpochFinished)]


def _random_states() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator that plugins may use
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *map(float, rest)],
        "python": json.dumps(random.getstate()),
    }


def _set_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), int(position), int(has_gauss), cached))  # noqa: NPY002
    version, internal, gauss = json.loads(states["python"])
    random.setstate((version, tuple(internal), gauss))
