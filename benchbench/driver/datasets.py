"""A dataset that a command looks at: its parameters, where its images are, and their checksums."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from benchbench.config.composition import JOINT
from benchbench.config.spec import PluginDraft, read_settings
from benchbench.data import cache
from benchbench.data.download import check_file, file_digest, is_here, missing_images_hint
from benchbench.data.file_states import files_below
from benchbench.data.locations import DataPaths, parse_data_options
from benchbench.errors import DataError, SpecError
from benchbench.plugin import parameters
from benchbench.plugin.dataset import Downloads
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchbench.config.kinds import Kind
    from benchbench.data.cache import LoadedDataset
    from benchbench.data.parallel_decoding import Progress
    from benchbench.plugin.catalog import Catalog
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.description import Entry


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset with its parameters, where its images are, and the augmentation that was asked for, if any."""

    entry: Entry
    registry: Registry
    dataset: Dataset
    root: Path
    plugin_files: tuple[str, ...] = ()
    augmentation: PluginDraft | None = None

    def load(self, *, on_progress: Progress) -> LoadedDataset:
        """Return the images from the cache, decoded first if they have to be."""
        digest = self.registry.source_digest("dataset", self.dataset.name)
        return cache.load(self.dataset, self.root, source_digest=digest, on_progress=on_progress)

    @contextmanager
    def decoded_anew(self, *, on_progress: Progress) -> Iterator[LoadedDataset]:
        """Give the images decoded anew. Those that are decoded one by one are files until the block ends."""
        with _temporary_folder(self.dataset.name) as folder:
            yield cache.decode(self.dataset, self.root, folder=folder / "images", on_progress=on_progress)

    def check_archive(self) -> str:
        """Return what the checksums of its files say, or raise :class:`~benchbench.errors.DataError`."""
        sources, download = self.dataset.sources(self.root), self.entry.download
        if isinstance(download, Downloads):
            return _check_files(download, sources)
        archive = sources[0] if len(sources) == 1 and sources[0].is_file() else None
        if archive is None:
            return "there is no archive to check"
        if download and archive.name == download.file_name:
            check_file(archive, download)
            return "size and MD5 are as published"
        known = self.entry.sha256.get(archive.name)
        if known is None:
            return f"none is known for {archive.name}"
        digest = file_digest(archive, "sha256")
        if digest != known:
            raise DataError(f"{archive} has the wrong sha256 checksum: {digest}, not {known}", hint="download it again")
        return "sha256 is as known"


@contextmanager
def _temporary_folder(name: str) -> Iterator[Path]:
    """Give a new folder in the cache or, if nothing can be written there, among other temporary files."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(cache.scratch_folder(name))
        except (OSError, NotImplementedError):
            folder = Path(stack.enter_context(TemporaryDirectory()))
        yield folder


def open_dataset(
    name: str,
    catalog: Catalog,
    *,
    plugin_files: Sequence[str] = (),
    data: Iterable[str] = (),
    settings: Mapping[str, str] | None = None,
    augment: Sequence[str] = (),
) -> OpenedDataset:
    """Return a dataset as the options of a command say.

    Raises :class:`~benchbench.errors.SpecError` for an unsupported option, and
    :class:`~benchbench.errors.DataError` if its images are not here.
    """
    texts = read_settings(settings or {})
    _check_kinds(texts, has_augmentation=bool(augment))
    entry = catalog.find("dataset", name)
    known = [other.name for other in catalog.of_kind("dataset")]
    root = DataPaths.of(parse_data_options(data), known=known, used=[name]).locate(name, entry.download)
    if entry.download and not is_here(root, entry.download):
        raise DataError(f"the images of {name} are not here", hint=missing_images_hint(name))
    augmentation = _augmentation(augment, texts.get("augmentation", {}), entry, catalog) if augment else None
    registry = Registry.load(plugin_files, only={entry.origin})
    cls = cast("type[Dataset]", registry.get("dataset", name))
    dataset = parameters.read(cls, {}, texts.get("dataset", {}))
    return OpenedDataset(entry, registry, dataset, root, tuple(plugin_files), augmentation)


@dataclass(frozen=True)
class DatasetStatus:
    """Where the images of a dataset are and the space they take; ``path`` is None if they are not here.

    ``has_files`` tells whether it reads files, and does not make its images. ``is_for_all``: the path was named for all
    datasets, so that its images may be another dataset's. ``problem`` says what is wrong with the path that was named.
    """

    name: str
    path: str | None
    num_bytes: int | None
    download_bytes: int | None
    decoded_bytes: int
    has_files: bool
    is_for_all: bool = False
    problem: str = ""


def describe_datasets(catalog: Catalog) -> list[DatasetStatus]:
    """Return where the images of all datasets are and the space they take."""
    entries = catalog.of_kind("dataset")
    paths = DataPaths.of({}, known=[entry.name for entry in entries])
    return [_describe(entry, paths) for entry in entries]


def _describe(entry: Entry, paths: DataPaths) -> DatasetStatus:
    problem, is_for_all = "", entry.name not in paths.variable and "" in paths.variable
    try:
        path = paths.locate(entry.name, entry.download)
        here = is_here(path, entry.download)
    except DataError as error:
        problem, here = error.message, False
    return DatasetStatus(
        name=entry.name,
        path=str(path) if here else None,
        num_bytes=sum(status.st_size for _, status in files_below(path)) if here and not is_for_all else None,
        download_bytes=entry.download.num_bytes if entry.download else None,
        decoded_bytes=cache.cached_bytes(entry.name),
        has_files=entry.has_files,
        is_for_all=is_for_all,
        problem=problem,
    )


def _check_kinds(texts: dict[Kind, dict[str, str]], *, has_augmentation: bool) -> None:
    used = ("dataset", "augmentation") if has_augmentation else ("dataset",)
    for kind in (kind for kind in texts if kind not in used):
        raise SpecError(
            f"--set {kind}.{next(iter(texts[kind]))}: this command looks at a {' and an '.join(used)} only",
            hint="bench data show --augment default draws augmented images" if kind == "augmentation" else "",
        )


def _augmentation(names: Sequence[str], texts: dict[str, str], dataset: Entry, catalog: Catalog) -> PluginDraft:
    """Return what ``--augment`` and ``--set`` ask for, read as ``bench run`` reads it."""
    asked = PluginDraft.from_toml(JOINT.join(names), kind="augmentation").model_copy(update={"texts": texts})
    catalog.check_name("augmentation", asked)
    return catalog.named_plugin("augmentation", asked.with_default(dataset.augmentation))


def _check_files(download: Downloads, sources: tuple[Path, ...]) -> str:
    by_name = {path.name: path for source in sources for path in (source, *source.rglob("*"))}
    present = [file for file in download.files if file.file_name in by_name]
    for file in present:
        check_file(by_name[file.file_name], file)
    if not present:
        return "none is known for files that were unpacked or packed anew"
    checked = f"size and MD5 of {len(present)} of {len(download.files)} files are as published"
    return checked if len(present) == len(download.files) else f"{checked}; none is known for the others"
