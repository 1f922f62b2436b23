"""What ``bench time`` measured, as JSON of our own and as the JSON that ``pytest-benchmark compare`` reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.timings import TimedRow, TimedTable
    from benchbench.protocol.timing import Timing, Warmed
    from benchbench.records.record import MlflowRun

FORMAT: Literal[1] = 1
"""Of our own JSON; raised when a key changes its meaning."""

BENCHMARK_FORMAT = "5.1.0"
"""The version of pytest-benchmark whose keys are written."""

_FENCE = 1.5
"""Values further than this many interquartile ranges from the quartiles are outliers (Tukey)."""


def turn_text(timing: Timing) -> str:
    """Return what one turn was, such as ``an epoch with its validation``."""
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
        "turn": turn_text(timing),
        "steps": timing.job.steps,
        "n": table.n,
        "baseline": table.baseline,
        "confidence": table.confidence,
        "method": table.method,
        "contended_rounds": [done.number for done in timing.rounds if done.is_noisy],
        "other_cpu_fraction": [done.other_cpu_fraction for done in timing.rounds],
        "variants": [_variant(timing, row, place) for place, row in enumerate(table.rows)],
        "machine": asdict(started.machine),
        "mlflow": asdict(mlflow) if mlflow else None,
    }


def images_per_second(timing: Timing, place: int) -> float:
    """Return the median of a variant's rounds."""
    return float(np.median([done.turns[place].images_per_second for done in timing.rounds]))


def to_benchmark_json(timing: Timing, table: TimedTable, *, name: str) -> dict[str, Any]:
    """Return what a file of pytest-benchmark holds: each variant is a benchmark, each round one of its rounds."""
    machine = timing.warmed[0].started.machine
    return {
        "machine_info": {
            "node": machine.hostname,
            "system": machine.system,
            "cpu": {"brand_raw": machine.processor, "count": machine.num_cores},
            "python_version": machine.versions.get("python", ""),
            "benchbench": machine.versions,
        },
        "commit_info": {"id": machine.git_commit or ""},
        "benchmarks": [
            _benchmark(row, warmed, name=name, turn=turn_text(timing))
            for row, warmed in zip(table.rows, timing.warmed, strict=True)
        ],
        "datetime": datetime.now(UTC).isoformat(),
        "version": BENCHMARK_FORMAT,
    }


def _variant(timing: Timing, row: TimedRow, place: int) -> dict[str, Any]:
    warmed, turns = timing.warmed[place], [done.turns[place] for done in timing.rounds]
    ratio = row.ratio
    return {
        "name": row.name,
        "spec": timing.job.specs[place].flat(),
        "epoch_seconds": list(row.epoch_seconds),
        "train_seconds": [turn.train_seconds for turn in turns],
        "eval_seconds": [turn.eval_seconds for turn in turns],
        "median": row.median,
        "middle_half": asdict(row.middle_half),
        "images_per_second": images_per_second(timing, place),
        "steps_per_epoch": warmed.steps_per_epoch,
        "peak_memory_bytes": warmed.peak_memory_bytes,
        "memory_method": warmed.memory_method,
        "is_finite": all(turn.is_finite for turn in turns),
        "acceleration": warmed.started.acceleration,
        "ratio": ratio.estimate if ratio else None,
        "interval": asdict(ratio.interval) if ratio and ratio.interval else None,
        "corrected_p": row.corrected_p,
        "kind": row.kind,
        "verdict": row.verdict,
    }


def _benchmark(row: TimedRow, warmed: Warmed, *, name: str, turn: str) -> dict[str, Any]:
    return {
        "group": name,
        "name": row.name,
        "fullname": f"{name}::{row.name}",
        "params": None,
        "param": None,
        "extra_info": {
            "turn": turn,
            "verdict": row.verdict,
            "peak_memory_bytes": warmed.peak_memory_bytes,
            "acceleration": warmed.started.acceleration,
        },
        "options": {"disable_gc": False, "timer": "perf_counter", "warmup": True},
        "stats": _statistics(row.epoch_seconds),
    }


def _statistics(seconds: Sequence[float]) -> dict[str, Any]:
    values = np.sort(seconds)
    mean, std, median = float(values.mean()), float(values.std(ddof=1)), float(np.median(values))
    first, third = (float(value) for value in np.quantile(values, (0.25, 0.75)))
    iqr = float(stats.iqr(values))
    inside = values[(values >= first - _FENCE * iqr) & (values <= third + _FENCE * iqr)]
    beyond_std, beyond_fence = int((np.abs(values - mean) > std).sum()), len(values) - len(inside)
    return {
        "min": float(values[0]),
        "max": float(values[-1]),
        "mean": mean,
        "stddev": std,
        "rounds": len(values),
        "median": median,
        "iqr": iqr,
        "q1": first,
        "q3": third,
        "iqr_outliers": beyond_fence,
        "stddev_outliers": beyond_std,
        "outliers": f"{beyond_std};{beyond_fence}",
        "ld15iqr": float(inside[0]),
        "hd15iqr": float(inside[-1]),
        "ops": 1 / mean,
        "total": float(values.sum()),
        "data": list(seconds),
        "iterations": 1,
    }


def to_text(data: dict[str, Any]) -> str:
    """Return plain data as the text of a file."""
    return json.dumps(data, indent=2) + "\n"
