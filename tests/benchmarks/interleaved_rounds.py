"""Measure two or more sides in interleaved rounds, A B A B: a machine that slows down disturbs all of them alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

Sample = dict[str, float]
"""The measures of one side in one round. ``seconds`` is what pytest-benchmark is told."""

LOOPS = Path(__file__).parent / "loops"
TIMEOUT_SECONDS = 1800
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
"""The only variables that a measured process inherits: no preloaded library, no thread counts, no tunables."""


class ReportedClock:
    """A clock that only advances by what the measured side reports, so that its start-up does not count."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        return self._seconds

    def add(self, seconds: float) -> None:
        """Advance the clock."""
        self._seconds += seconds


CLOCK = ReportedClock()


@dataclass(frozen=True)
class InterleavedRounds:
    """Runs all sides once a round, and has pytest-benchmark note our samples."""

    benchmark: BenchmarkFixture
    quick: bool

    def __call__(
        self, ours: Callable[[], Sample], others: Mapping[str, Callable[[], Sample]], *, rounds: int
    ) -> tuple[list[Sample], dict[str, list[Sample]]]:
        """Return our samples and those of each other side: one a round. A quick run has one round."""
        mine: list[Sample] = []
        theirs: dict[str, list[Sample]] = {name: [] for name in others}

        def measure_others() -> None:
            for name, other in others.items():
                theirs[name].append(other())

        def measure_ours() -> None:
            mine.append(ours())
            CLOCK.add(mine[-1]["seconds"])

        self.benchmark.pedantic(measure_ours, setup=measure_others, rounds=1 if self.quick else rounds)
        self.benchmark.extra_info |= {"ours": mine, "others": theirs}
        return mine, theirs


def reported(script: str, *options: object, **variables: str) -> Sample:
    """Return what a program of :data:`LOOPS` reports in the last line that it prints; it runs in a clean process."""
    done = subprocess.run(
        [sys.executable, str(LOOPS / script), *map(str, options)],
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr}")
    measured: Sample = json.loads(done.stdout.splitlines()[-1])
    return measured


def clean_environment() -> dict[str, str]:
    """Return the environment of every measured process."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def column(samples: list[Sample], name: str = "seconds") -> list[float]:
    """Return one measure of all samples."""
    return [sample[name] for sample in samples]
