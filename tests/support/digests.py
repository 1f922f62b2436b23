"""The digest of what a dataset plugin returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench.data import cache as data_cache
from benchbench.data.parallel_decoding import decode_lazy
from benchbench.data.split_checks import check_splits
from benchbench.data.split_digests import data_facts_of
from benchbench.worker.splits import TensorSplits

if TYPE_CHECKING:
    from pathlib import Path

    import benchbench as bb


def decoded(dataset: bb.Dataset, root: Path) -> TensorSplits:
    """Return a dataset as tensors, decoded without the cache."""
    return TensorSplits.of(data_cache.decode(dataset, root))


def digest(splits: Any) -> str:
    """Return the digest under which splits are recorded: those of a plugin or of a worker."""
    check_splits("dataset", splits)
    return data_facts_of(
        decode_lazy(dict(splits.items()), None).splits, class_names=splits.class_names, source=""
    ).digest
