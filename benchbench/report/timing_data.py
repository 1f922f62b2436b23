"""What ``bench time`` measured: as plain data, and what makes it hard to trust."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.compare.timing_ratios import TimedRow, TimedTable
    from benchbench.protocol.timing_messages import Timing
    from benchbench.records.record import MlflowRun

FORMAT: Literal[1] = 1
"""Of the JSON; raised when a key changes its meaning."""


def measurement_text(timing: Timing) -> str:
    """Return what was measured, such as ``an epoch with its validation``."""
    steps = timing.job.steps
    if steps is None:
        return "an epoch with its validation"
    return f"{steps} training steps, scaled to the images of an epoch, without validation"


def to_json(timing: Timing, table: TimedTable, *, name: str, mlflow: MlflowRun | None) -> dict[str, Any]:
    """Return a timing as plain data; documented in docs/time.md."""
    started = timing.warmed[0].started
    return {
        "format": FORMAT,
        "name": name,
        "status": "killed" if timing.is_stopped else "finished",
        "measurement": measurement_text(timing),
        "steps": timing.job.steps,
        "n": table.n,
        "baseline": table.baseline,
        "confidence": table.confidence,
        "method": table.method,
        "noisy_rounds": [done.number for done in timing.rounds if done.is_noisy],
        "other_cpu_fraction": [done.other_cpu_fraction for done in timing.rounds],
        "other_gpu_fraction": [done.other_gpu_fraction for done in timing.rounds],
        "variants": [_variant(timing, row, index) for index, row in enumerate(table.rows)],
        "machine": asdict(started.machine),
        "mlflow": asdict(mlflow) if mlflow else None,
    }


def images_per_second(timing: Timing, index: int) -> float:
    """Return the median of a variant's rounds; the variant is given by its index."""
    return float(np.median([each.images_per_second for each in timing.measurements(index)]))


def timing_warnings(timing: Timing) -> Iterator[str]:
    """Yield what makes the times hard to trust."""
    if timing.is_stopped:
        yield f"stopped after {len(timing.rounds)} of {timing.job.rounds} rounds"
    if timing.num_noisy:
        fraction = max(done.other_fraction for done in timing.rounds)
        yield (
            f"{timing.num_noisy} of {len(timing.rounds)} rounds were noisy: other processes took up to"
            f" {fraction:.0%} of the {'GPU or the processor' if timing.rounds[0].on_gpu else 'processor'}"
        )
    sources = [warmed.started.acceleration.get("images", "in memory") for warmed in timing.warmed]
    if len(set(sources)) > 1:
        by_name = "; ".join(f"{name}: {source}" for name, source in zip(timing.job.names, sources, strict=False))
        yield f"images were not read from the same place for all variants ({by_name})"
    for index, name in enumerate(timing.job.names):
        if not all(each.is_finite for each in timing.measurements(index)):
            yield f"the loss of {name} did not stay finite; its time is that of steps that learn nothing"


def _variant(timing: Timing, row: TimedRow, index: int) -> dict[str, Any]:
    warmed, measurements = timing.warmed[index], timing.measurements(index)
    ratio = row.ratio
    return {
        "name": row.name,
        "spec": timing.job.specs[index].flat(),
        "epoch_seconds": list(row.epoch_seconds),
        "train_seconds": [each.train_seconds for each in measurements],
        "eval_seconds": [each.eval_seconds for each in measurements],
        "median": row.median,
        "middle_half": asdict(row.middle_half),
        "images_per_second": images_per_second(timing, index),
        "steps_per_epoch": warmed.steps_per_epoch,
        "peak_memory_bytes": warmed.peak_memory_bytes,
        "memory_method": warmed.memory_method,
        "is_finite": all(each.is_finite for each in measurements),
        "acceleration": warmed.started.acceleration,
        "ratio": ratio.estimate if ratio else None,
        "interval": asdict(ratio.interval) if ratio and ratio.interval else None,
        "corrected_p": row.corrected_p,
        "kind": row.kind,
        "verdict": row.verdict,
    }


def to_text(data: dict[str, Any]) -> str:
    """Return plain data as the text of a file."""
    return json.dumps(data, indent=2) + "\n"
