"""A dataset that a command looks at, with its parameters and its images."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from benchbench.cli.list import read_catalog
from benchbench.errors import DataError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchbench.data.cache import Loaded
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.description import Entry
    from benchbench.plugin.registry import Registry


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset with its parameters, and where its images are."""

    entry: Entry
    registry: Registry
    dataset: Dataset
    root: Path

    @property
    def source_digest(self) -> str:
        """What stands for the plugin's code in the cache."""
        return self.registry.source_digest("dataset", self.dataset.name)


def open_dataset(
    name: str, data: Iterable[str] | None, settings: Iterable[str] | None, plugins: Iterable[Path] | None
) -> OpenedDataset:
    """Return a dataset as the options say; raises :class:`~benchbench.errors.DataError` if its images are not here."""
    from benchbench.data.download import is_here, missing_images_hint
    from benchbench.data.locations import DataPaths, parse_data_options
    from benchbench.plugin import parameters
    from benchbench.plugin.discovery import loose_files
    from benchbench.plugin.registry import Registry

    catalog = read_catalog(plugins)
    entry = catalog.find("dataset", name)
    known = [other.name for other in catalog.of_kind("dataset")]
    root = DataPaths.of(parse_data_options(data or ()), known=known, used=[name]).locate(name, entry.download)
    if entry.download and not is_here(root, entry.download):
        raise DataError(f"the images of {name} are not here", hint=missing_images_hint(name))
    registry = Registry.load(loose_files(map(str, plugins or ())), only={entry.origin})
    cls = cast("type[Dataset]", registry.get("dataset", name))
    return OpenedDataset(entry, registry, parameters.read(cls, {}, _texts(settings or ())), root)


def _texts(settings: Iterable[str]) -> dict[str, str]:
    from benchbench.config.spec import read_settings

    texts = read_settings(settings)
    for kind in texts:
        if kind != "dataset" and texts[kind]:
            raise SpecError(f"--set {kind}.{next(iter(texts[kind]))}: this command looks at a dataset only")
    return texts.get("dataset", {})


def load(opened: OpenedDataset) -> Loaded:
    """Return the dataset from the cache, decoded first if it has to be."""
    from rich.console import Console

    from benchbench.cli.progress import Display
    from benchbench.data import cache as data_cache

    with Display(Console(stderr=True)) as display:
        return data_cache.load(
            opened.dataset,
            opened.root,
            source_digest=opened.source_digest,
            on_progress=partial(display.decoding, f"decoding {opened.dataset.name}"),
        )


@contextmanager
def decoded(opened: OpenedDataset) -> Iterator[Loaded]:
    """Give the dataset decoded anew. Images that are decoded one by one are files until the block ends."""
    from rich.console import Console

    from benchbench.cli.progress import Display
    from benchbench.data import cache as data_cache

    data_cache.decoded_folder().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=data_cache.decoded_folder()) as folder:
        with Display(Console(stderr=True)) as display:
            on_progress = partial(display.decoding, f"decoding {opened.dataset.name}")
            loaded = data_cache.decode(
                opened.dataset, opened.root, folder=Path(folder) / "images", on_progress=on_progress
            )
        yield loaded
