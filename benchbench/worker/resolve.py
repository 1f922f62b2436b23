"""What drafts mean with the plugins and the images there are: specs, and the digests that belong to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.config.kinds import KINDS
from benchbench.data import cache as data_cache
from benchbench.protocol.jobs import Resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchbench.config.spec import Draft, PluginSpec
    from benchbench.plugin.registry import Registry


def resolve(drafts: Iterable[Draft], registry: Registry, *, data_roots: Mapping[str, str]) -> list[Resolved]:
    """Return the drafts as specs, each with the digest of its images, which are decoded where they never were.

    Raises a :class:`~benchbench.errors.BenchError` for what is wrong with the first bad draft.
    """
    digests: dict[str, str] = {}
    resolved = []
    for spec in [registry.resolve(draft) for draft in drafts]:
        key = json.dumps([spec.dataset.name, spec.dataset.params], sort_keys=True)
        if key not in digests:
            digests[key] = _digest(spec.dataset, registry, Path(data_roots[spec.dataset.name]))
        sources: dict[str, str] = {kind: registry.source_digest(kind, spec.plugin(kind).name) for kind in KINDS}
        resolved.append(Resolved(spec, digests[key], sources))
    return resolved


def _digest(spec: PluginSpec, registry: Registry, root: Path) -> str:
    dataset = registry.create("dataset", spec)
    source_digest = registry.source_digest("dataset", spec.name)
    known = data_cache.digest_of(dataset, root, source_digest=source_digest)
    return known or data_cache.load(dataset, root, source_digest=source_digest).facts.digest
