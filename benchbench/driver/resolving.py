"""From drafts to specs: plugins are looked up, images fetched, and a worker writes every default out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from benchbench.data.download import ensure
from benchbench.data.locations import DataPaths
from benchbench.plugin.catalog import Catalog
from benchbench.protocol.messages import Output, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.config.spec import Draft, Spec
    from benchbench.driver.settings import Settings
    from benchbench.driver.watcher import Watcher
    from benchbench.executors import Executor
    from benchbench.plugin.description import Entry
    from benchbench.protocol.jobs import Resolved


@dataclass(frozen=True)
class Resolution:
    """What drafts mean, with the catalog of plugins and the file or folder of the images by dataset."""

    resolved: tuple[Resolved, ...]
    catalog: Catalog
    data_roots: dict[str, str]

    @property
    def specs(self) -> list[Spec]:
        """Return the specs in the order of the drafts."""
        return [item.spec for item in self.resolved]


def resolve(drafts: Sequence[Draft], executor: Executor, settings: Settings, watcher: Watcher) -> Resolution:
    """Return what the drafts mean.

    Images that have to be are downloaded. Raises :class:`~benchbench.errors.BenchError` for the first bad draft.
    """
    watcher.status("looking up plugins")
    catalog = Catalog.read(settings.plugin_files)
    for draft in drafts:
        catalog.check_names(draft)
    drafts = [catalog.named(draft) for draft in drafts]
    origins = set().union(*(catalog.origins_of(draft) for draft in drafts))
    used = {draft.dataset.name for draft in drafts}
    paths = DataPaths.of(settings.data, known=[entry.name for entry in catalog.of_kind("dataset")], used=used)
    data_roots = {name: _find_images(catalog.find("dataset", name), paths, watcher) for name in used}
    watcher.status("starting a worker, which loads torch, the plugins and the images")
    resolved = executor.resolve(drafts, data_roots=data_roots, origins=origins, hear=_Hearing(watcher).hear)
    return Resolution(tuple(resolved), catalog, data_roots)


@dataclass(frozen=True)
class _Hearing:
    """Passes on what workers say; what all of them print, such as a warning of an import, once."""

    watcher: Watcher
    printed: set[str] = field(default_factory=set)

    def hear(self, said: Status | Output) -> None:
        match said:
            case Output() if said.text not in self.printed:
                self.printed.add(said.text)
                self.watcher.note(said.text)
            case Status(total=0):
                self.watcher.status(said.text)
            case Status():
                self.watcher.decoding(said.text, said.done, said.total)


def _find_images(entry: Entry, paths: DataPaths, watcher: Watcher) -> str:
    return str(ensure(entry.name, entry.download, paths, partial(watcher.downloading, entry.name)))
