"""Stores of MLflow with trials that never ran, for the tests of what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import journals

from benchbench.records.claim import Claim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.records.events import Event
    from benchbench.tracking import Store

PREDICTIONS = "image,class,prediction,probability,correct\n"


@dataclass(frozen=True)
class Filler:
    """Writes journals and delivers them to a store in the working folder."""

    folder: Path

    def trial(
        self,
        store: Store,
        told: Sequence[Event],
        *,
        right: str = "",
        has_record: bool = True,
        parent: str | None = None,
    ) -> str:
        """Deliver a trial and return its run id; ``right`` has a 1 for each test image that its model is right on."""
        journal = journals.write_journal(self.folder, *told)
        journal.set_claim(Claim(store.tracking_uri, store.experiment, store.experiment_id, parent_run_id=parent))
        journal.artifacts.mkdir()
        rows = [f"test {place},a,{'a' if digit == '1' else 'b'},0.9,x" for place, digit in enumerate(right)]
        if rows:
            (journal.artifacts / "predictions.csv").write_text(PREDICTIONS + "\n".join(rows) + "\n", encoding="utf-8")
        if has_record:
            (journal.artifacts / "record.json").write_text(journal.record().to_json(), encoding="utf-8")
        return store.deliver(journal).run_id
