"""``bench data``: list datasets, download and check them."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench import variables
from benchbench.cli import options
from benchbench.cli.list import read_catalog
from benchbench.cli.options import completing
from benchbench.cli.output import print_json, print_lines, print_table
from benchbench.errors import DataError, SpecError, plain
from benchbench.paths import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from benchbench.data.cache import LoadedDataset
    from benchbench.data.parallel_decoding import Progress
    from benchbench.driver.datasets import DatasetStatus, OpenedDataset

Settings = Annotated[
    list[str] | None, options.set_option("Set a parameter; may be repeated.", metavar="dataset.PARAM=VALUE")
]
Name = Annotated[str, typer.Argument(help="A dataset; see bench list datasets.", autocompletion=completing("dataset"))]

_ICONS = ("ICO", "ICNS")
"""Pillow shrinks what it writes in these formats."""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="List, download, check and show datasets.", no_args_is_help=True)
    group.command("list", short_help="List the datasets, and where their images are.")(list_datasets)
    group.command("fetch")(fetch_dataset)
    group.command("verify")(verify_dataset)
    group.command("show", short_help="Draw images as the network sees them.")(show_dataset)
    app.add_typer(group, name="data")


def list_datasets(
    *,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """List the datasets: where their images are, and the space that they and their decoded copies take."""
    from benchbench.data.cache import decoded_folder
    from benchbench.driver.datasets import describe_datasets

    datasets = describe_datasets(read_catalog(plugins))
    if as_json:
        print_json({"datasets": [asdict(dataset) for dataset in datasets], "decoded_folder": str(decoded_folder())})
        return
    print_table(("dataset", "images", "size", "decoded"), map(_list_row, datasets), numbers=("size", "decoded"))
    print_lines((f"decoded copies are in {decoded_folder()}, which can be deleted at any time",), "table")


def fetch_dataset(
    *,
    name: Name,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Download a dataset; an interrupted download is resumed."""
    from rich.console import Console

    from benchbench.cli.displays import Display
    from benchbench.data.download import fetch
    from benchbench.data.locations import data_folder, named_by_variable

    entry = read_catalog(plugins).find("dataset", name)
    if entry.download is None:
        raise DataError(f"dataset {name!r} has nothing to download", hint="bench data list shows where images are")
    with Display(Console(stderr=True)) as display:
        path = fetch(entry.download, data_folder(), on_progress=partial(display.downloading, name))
    num_bytes = entry.download.num_bytes
    if as_json:
        print_json({"name": name, "path": str(path), "num_bytes": num_bytes})
    else:
        typer.echo(f"{name}: {path} ({_megabytes(num_bytes)})")
        is_elsewhere = not named_by_variable().keys().isdisjoint({name, ""})
        words = ["--data", f"{name}={path}"] if is_elsewhere else []
        typer.echo(f"next: {shlex.join(['bench', 'data', 'show', name, *words, '-o', 'sheet.png'])}")


def verify_dataset(
    *,
    name: Name,
    data: options.Data = None,
    settings: Settings = None,
    plugins: options.Plugins = None,
    as_json: options.Json = False,
) -> None:
    """Check a dataset's archive, decode every image, and count them."""
    opened = _open(name, data, settings, plugins)
    with redirect_stdout(sys.stderr):  # what a plugin prints is no part of our answer
        checksum = opened.check_archive()
    with ExitStack() as stack:
        with _progress_bar(name) as on_progress:
            loaded = stack.enter_context(opened.decoded_anew(on_progress=on_progress))
        if as_json:
            print_json(_findings(name, loaded, checksum=checksum))
        else:
            _print_findings(name, loaded, checksum=checksum)


def show_dataset(
    *,
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The image file to write.", show_default=False)],
    images: Annotated[int, typer.Option("--images", min=1, help="How many images of each split.")] = 40,
    augment: Annotated[
        list[str] | None,
        typer.Option(
            "--augment",
            metavar="NAME",
            help="Also draw augmented training images; may be repeated. default: the dataset's augmentation.",
            autocompletion=options.completing("augmentation"),
            show_default=False,
        ),
    ] = None,
    data: options.Data = None,
    settings: Annotated[
        list[str] | None,
        options.set_option("Set a parameter of the dataset or the augmentation; may be repeated."),
    ] = None,
    plugins: options.Plugins = None,
) -> None:
    """Draw images of each split as the network sees them, with their classes, into one image file."""
    from benchbench.driver.dataset_sheet import draw_dataset

    opened = _open(name, data, settings, plugins, augment=augment)
    _check_output(output)
    with _progress_bar(name) as on_progress:
        loaded = opened.load(on_progress=on_progress)
    sheet, numbered = draw_dataset(opened, loaded, num_images=images)
    _save(sheet, output)
    size = opened.dataset.image_size
    typer.echo(f"{output}: {name} as the network sees it, {size}x{size} pixels")
    for caption, class_name in numbered.items():
        typer.echo(f"{caption}: {plain(class_name)}")
    given = (("--augment", augment), ("--data", data), ("--set", settings), ("--plugins", plugins))
    words = [word for option, values in given for value in values or () for word in (option, str(value))]
    typer.echo(f"next: {shlex.join(['bench', 'run', 'resnet', name, *words])}")


def _open(
    name: str,
    data: list[str] | None,
    settings: list[str] | None,
    plugins: list[Path] | None,
    *,
    augment: list[str] | None = None,
) -> OpenedDataset:
    from benchbench.driver.datasets import open_dataset
    from benchbench.plugin.discovery import loose_files

    with redirect_stdout(sys.stderr):
        return open_dataset(
            name,
            read_catalog(plugins),
            plugin_files=loose_files(map(str, plugins or ())),
            data=data or (),
            settings=options.settings_of(settings),
            augment=augment or (),
        )


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    from rich.console import Console

    from benchbench.cli.displays import Display

    with Display(Console(stderr=True)) as display, redirect_stdout(sys.stderr):
        yield partial(display.decoding, f"decoding {name}")


def _check_output(output: Path) -> None:
    """Refuse a file that could not be written, before images are decoded."""
    from PIL import Image

    from benchbench.driver.output_files import check_output

    form = Image.registered_extensions().get(output.suffix.lower())
    if form not in Image.SAVE:
        raise SpecError(f"{output} is not the name of an image file", hint="-o sheet.png")
    if form in _ICONS:
        raise SpecError(f"{output} would be an icon, which is too small for a sheet", hint="-o sheet.png")
    check_output(output, example="sheet.png")
    _encoded(Image.new("RGB", (16, 16)), output)


def _save(sheet: Image.Image, output: Path) -> None:
    """Write an image file, whole or not at all."""
    from benchbench.driver.output_files import writing

    content = _encoded(sheet, output)
    with writing(output):
        write_atomically(output, content)


def _encoded(sheet: Image.Image, output: Path) -> bytes:
    from PIL import Image

    file, form = BytesIO(), Image.registered_extensions()[output.suffix.lower()]
    try:
        sheet.save(file, form)
    except Exception as error:  # Pillow's encoders raise all kinds for a size or colors that their format lacks
        raise SpecError(
            f"{output} cannot be written as {form}: {error}", hint="-o sheet.png, or fewer --images"
        ) from error
    return file.getvalue()


def _findings(name: str, loaded: LoadedDataset, *, checksum: str) -> dict[str, Any]:
    facts = loaded.facts
    counts = _count_classes(loaded)
    return {
        "name": name,
        "source": facts.source,
        "checksum": checksum,
        "digest": facts.digest,
        "note": facts.note,
        "image_shape": facts.image_shape,
        "splits": {
            split_name: {
                "num_images": split.num_images,
                "digest": split.digest,
                "num_images_per_class": counts[split_name],
            }
            for split_name, split in facts.splits.items()
        },
    }


def _print_findings(name: str, loaded: LoadedDataset, *, checksum: str) -> None:
    facts = loaded.facts
    typer.echo(f"{name}: {facts.source}")
    typer.echo(f"checksum: {checksum}")
    typer.echo(f"digest of the images and labels: {facts.digest}")
    if facts.note:
        typer.echo(f"note: {plain(facts.note)}")
    counts = _count_classes(loaded)
    rows = [
        (class_name, *(str(counts[split_name][class_name]) for split_name in counts))
        for class_name in facts.class_names
    ]
    totals = ("all", *(str(split.num_images) for split in facts.splits.values()))
    print_table(("class", *counts), [*rows, totals], numbers=tuple(counts))


def _count_classes(loaded: LoadedDataset) -> dict[str, dict[str, int]]:
    import numpy as np

    names = loaded.facts.class_names
    return {
        split_name: dict(zip(names, np.bincount(split.labels, minlength=len(names)).tolist(), strict=True))
        for split_name, split in loaded.splits.items()
    }


def _list_row(dataset: DatasetStatus) -> tuple[str, str, str, str]:
    num_bytes = dataset.num_bytes or (0 if dataset.path else dataset.download_bytes)
    return (dataset.name, _where(dataset), _megabytes(num_bytes), _megabytes(dataset.decoded_bytes))


def _where(dataset: DatasetStatus) -> str:
    if dataset.problem:
        return dataset.problem
    if dataset.path is None:
        if not dataset.has_files:
            return "needs no files"
        remedy = f"bench data fetch {dataset.name}" if dataset.download_bytes else f"--data {dataset.name}=PATH"
        return f"not here; {remedy}"
    return f"{variables.DATA}: {dataset.path}" if dataset.is_for_all else dataset.path


def _megabytes(num_bytes: int | None) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes else "-"
