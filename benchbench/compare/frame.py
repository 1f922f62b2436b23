"""Records as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchbench.compare.metric_values import values_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.records.record import Record


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row for each trial, in their order: ids, status, the flat spec, all its numbers, machine and times.

    Numbers that a trial does not have are missing. Accuracies are fractions from 0 to 1, and times are in seconds.
    """
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, object]:
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
        "hostname": record.machine.hostname,
        "device": record.machine.device,
        "device_name": record.machine.device_name,
        "num_threads": record.machine.num_threads,
        "started": pd.Timestamp(record.started_ms, unit="ms", tz="UTC"),
        "ended": pd.Timestamp(record.ended_ms, unit="ms", tz="UTC") if record.ended_ms else pd.NaT,
    }
