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
    from collections.abc import Iterable, Iterator, Sequence

    from benchbench.config.kinds import Kind
    from benchbench.config.spec import PluginDraft
    from benchbench.data.cache import Loaded
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.description import Entry
    from benchbench.plugin.registry import Registry


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset with its parameters, where its images are, and the augmentation that was asked for, if any."""

    entry: Entry
    registry: Registry
    dataset: Dataset
    root: Path
    augmentation: PluginDraft | None = None

    @property
    def source_digest(self) -> str:
        """What stands for the plugin's code in the cache."""
        return self.registry.source_digest("dataset", self.dataset.name)


def open_dataset(
    name: str,
    data: Iterable[str] | None,
    settings: Iterable[str] | None,
    plugins: Iterable[Path] | None,
    *,
    augment: Sequence[str] | None = None,
) -> OpenedDataset:
    """Return a dataset as the options say; raises :class:`~benchbench.errors.DataError` if its images are not here."""
    from benchbench.config.spec import read_settings
    from benchbench.data.download import is_here, missing_images_hint
    from benchbench.data.locations import DataPaths, parse_data_options
    from benchbench.plugin import parameters
    from benchbench.plugin.discovery import loose_files
    from benchbench.plugin.registry import Registry

    texts = read_settings(settings or ())
    _check_kinds(texts, has_augmentation=bool(augment))
    catalog = read_catalog(plugins)
    entry = catalog.find("dataset", name)
    known = [other.name for other in catalog.of_kind("dataset")]
    root = DataPaths.of(parse_data_options(data or ()), known=known, used=[name]).locate(name, entry.download)
    if entry.download and not is_here(root, entry.download):
        raise DataError(f"the images of {name} are not here", hint=missing_images_hint(name))
    augmentation = _augmentation(augment, texts.get("augmentation", {}), entry, catalog) if augment else None
    registry = Registry.load(loose_files(map(str, plugins or ())), only={entry.origin})
    cls = cast("type[Dataset]", registry.get("dataset", name))
    dataset = parameters.read(cls, {}, texts.get("dataset", {}))
    return OpenedDataset(entry, registry, dataset, root, augmentation)


def _check_kinds(texts: dict[Kind, dict[str, str]], *, has_augmentation: bool) -> None:
    used = ("dataset", "augmentation") if has_augmentation else ("dataset",)
    for kind in (kind for kind in texts if kind not in used):
        raise SpecError(
            f"--set {kind}.{next(iter(texts[kind]))}: this command looks at a {' and an '.join(used)} only",
            hint="bench data show --augment default draws augmented images" if kind == "augmentation" else "",
        )


def _augmentation(names: Sequence[str], texts: dict[str, str], dataset: Entry, catalog: Catalog) -> PluginDraft:
    """Return what ``--augment`` and ``--set`` ask for, read as ``bench run`` reads it."""
    from benchbench.config.composition import JOINT
    from benchbench.config.spec import PluginDraft

    asked = PluginDraft.from_toml(JOINT.join(names), kind="augmentation").model_copy(update={"texts": texts})
    catalog.check_name("augmentation", asked)
    return catalog.named_plugin("augmentation", asked.with_default(dataset.augmentation))


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
