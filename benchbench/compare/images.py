"""Trials by their dataset and, if its images have changed between trials, by the version of the images."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchbench.records.record import Record

DIGITS = 8
"""Of the digest of images, in a name."""


def records_by_dataset(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records by the names of their datasets."""
    by_dataset: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_dataset[record.spec.dataset.name].append(record)
    return by_dataset


def records_by_version(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return trials of one dataset by the digest of their images, or all together if each has those of its parameters.

    Parameters of a dataset, such as the size of its images, may change the digest. They are no other images.
    """
    digests: dict[str, set[str]] = defaultdict(set)
    for record in records:
        digests[json.dumps(record.spec.dataset.params, sort_keys=True)].add(record.data_digest)
    if all(len(same_params) == 1 for same_params in digests.values()):
        return {"": list(records)}
    parts: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        parts[record.data_digest].append(record)
    return parts


def versions_of_images(records: Iterable[Record]) -> dict[str, str]:
    """Return a name for each data digest of a dataset whose images have changed between trials; mostly none has."""
    datasets = [records_by_version(dataset_records) for dataset_records in records_by_dataset(records).values()]
    return {digest: version_name(digest) for parts in datasets if len(parts) > 1 for digest in parts}


def version_name(digest: str) -> str:
    """Return ``images 3f2a9c1b``."""
    return f"images {digest[:DIGITS]}"
