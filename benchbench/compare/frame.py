"""Records as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchbench.compare.metric_values import values_of
from benchbench.records.machine import one_after_another

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.records.record import Record


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row for each trial, in their order: ids, status, the flat spec, all its numbers, machine and times.

    Numbers that a trial does not have are missing. Accuracies are fractions from 0 to 1, and times are in seconds. A
    trial that was resumed on another machine has the device ``cpu, then cuda``, and no number of threads if it changed.
    """
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, object]:
    num_threads = {machine.num_threads for machine in record.machines}
    return {
        "run_id": record.mlflow.run_id if record.mlflow else None,
        "attempt": record.attempt,
        "spec_id": record.spec_id,
        "data_digest": record.data_digest,
        "status": record.status,
        **record.spec.flat(),
        **values_of(record),
        "error": record.error.message if record.error else None,
        "num_epochs": len(record.epochs),
        "num_parameters": record.num_parameters,
        "hostname": one_after_another(machine.hostname for machine in record.machines),
        "device": one_after_another(machine.device for machine in record.machines),
        "device_name": one_after_another(machine.device_name for machine in record.machines),
        "num_threads": num_threads.pop() if len(num_threads) == 1 else None,
        "started": pd.Timestamp(record.started_ms, unit="ms", tz="UTC"),
        "ended": pd.Timestamp(record.ended_ms, unit="ms", tz="UTC") if record.ended_ms else pd.NaT,
    }
