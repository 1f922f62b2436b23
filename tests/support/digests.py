"""The digest of what a dataset plugin returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.data.checks import check_splits, facts_of

if TYPE_CHECKING:
    import benchbench as bb


def digest(splits: bb.Splits) -> str:
    """Return the digest under which the splits are recorded."""
    return facts_of(check_splits("dataset", splits), class_names=splits.class_names, source="").digest
