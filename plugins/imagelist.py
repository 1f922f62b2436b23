"""Images of your own: a CSV file with the path and the class of each, and its split if you want."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from os.path import realpath
from typing import TYPE_CHECKING, Any

import numpy as np

import benchbench as bb
from benchbench.config.text_files import decode_text
from benchbench.data.archive import open_files, reader
from benchbench.data.image_files import (
    MAX_FILE_BYTES,
    SPLIT_OF_NAME,
    ImageFiles,
    Item,
    check_every_split_has_images,
    composed_name,
    taken_from_training,
    too_few_to_split,
)
from benchbench.data.splitting import split_rows
from benchbench.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PATH, CLASS, SPLIT = "path", "class", "split"
COLUMNS = {
    PATH: ("path", "file", "filename", "file_name", "image"),
    CLASS: ("class", "label", "class_name", "category"),
    SPLIT: ("split", "part", "set", "subset"),
}
"""What the columns may be called."""

MAX_NAMED = 5
"""How many lines a message names."""

HINT = "--data imagelist=FILE of a CSV file with the columns path, class and, if you want, split"


class ImageList(ImageFiles, name="imagelist"):
    """Your own images: a CSV file with the columns ``path``, ``class`` and, if you want, ``split``.

    Paths are relative to the file. Splits are called ``train``, ``val`` and ``test``. Missing splits are taken
    from the training images: ``test_fraction`` and ``val_fraction`` of each class.
    """

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the file, and the images that it lists."""
        table = find_table(root)
        return (table, *(table.parent / row[PATH] for row in read_table(table)))

    def load(self, root: Path) -> bb.Splits:
        """Return the images in the order of the lines. ``root`` is the CSV file, or a folder with no other one."""
        table = find_table(root)
        rows = read_table(table)
        class_names = tuple(sorted({row[CLASS] for row in rows}))
        if len(class_names) == 1:
            raise bb.DataError(f"{table} has one class only: {class_names[0]}", hint=HINT)
        label_of = {name: label for label, name in enumerate(class_names)}
        by_split: dict[str, list[Item]] = {"train": [], "val": [], "test": []}
        for row in rows:
            by_split[SPLIT_OF_NAME[row[SPLIT].lower()]].append(
                Item(row[PATH], composed_name(row[PATH]), label_of[row[CLASS]])
            )
        given = {split_name for split_name, items in by_split.items() if items}
        self._fill(by_split)
        missing = {"val", "test"} - given if given - {"train"} else set()
        _check_classes(table, by_split, class_names)
        check_every_split_has_images(table, {split_name: len(items) for split_name, items in by_split.items()})
        read = reader(table.parent, max_file_bytes=MAX_FILE_BYTES)
        splits = {split_name: self.split(items, table.parent, read) for split_name, items in by_split.items()}
        labels = [{item.label for item in by_split[split_name]} for split_name in by_split if split_name not in given]
        notes = (
            taken_from_training({split_name: len(by_split[split_name]) for split_name in sorted(missing)}),
            too_few_to_split([name for label, name in enumerate(class_names) if not all(label in of for of in labels)]),
        )
        return bb.Splits(class_names=class_names, note="; ".join(filter(None, notes)), **splits)

    def _fill(self, by_split: dict[str, list[Item]]) -> None:
        """Take the splits that are missing from the training images."""
        val_fraction = self.val_fraction if by_split["test"] else self.val_fraction / (1 - self.test_fraction)
        for split_name, fraction in (("test", self.test_fraction), ("val", val_fraction)):
            if not by_split[split_name] and by_split["train"]:
                items = by_split["train"]
                labels = np.array([item.label for item in items], dtype=np.int64)
                kept, taken = split_rows(labels, fraction, seed=self.split_seed, names=[item.name for item in items])
                by_split["train"], by_split[split_name] = [items[row] for row in kept], [items[row] for row in taken]


def find_table(root: Path) -> Path:
    """Return the CSV file that ``root`` stands for."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise bb.DataError(f"no --data is given, and no list of images is at {root}: it does not exist", hint=HINT)
    with open_files(root, max_file_bytes=MAX_FILE_BYTES) as files:
        tables = [root / name for name in files.files_in("") if name.endswith(".csv")]
    if len(tables) != 1:
        raise bb.DataError(f"no list of images at {root}: it has {len(tables)} CSV files", hint=HINT)
    return tables[0]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return path, class and split of each line, or raise :class:`~benchbench.errors.DataError` naming bad lines."""
    content = reader(path.parent, max_file_bytes=MAX_FILE_BYTES)(path.name)
    text = decode_text(content, name=str(path))
    lines = _lines_of(text)
    rows, problems = {}, []
    try:
        columns = _columns(path, lines.fieldnames or ())
        for line in lines:
            if any(text.strip() for text in _more(line)):
                problems.append(f"line {lines.line_num} has more fields than the first line: quote names with commas")
            row = {column: (line.get(name) or "").strip() for column, name in columns.items()}
            if any(row.values()):  # a spreadsheet ends with rows of nothing but separators
                rows[lines.line_num] = {
                    PATH: row[PATH].replace("\\", "/"),
                    CLASS: composed_name(row[CLASS]),
                    SPLIT: row.get(SPLIT, ""),
                }
    except csv.Error as error:
        problem = f"line {lines.line_num} or an earlier one has unbalanced quotation marks: {error}"
        raise bb.DataError(f"{path}: {problem}", hint=HINT) from error
    problems += _problems(path.parent, rows)
    if problems or not rows:
        raise bb.DataError(f"{path}: {listed(problems, MAX_NAMED) or 'it lists no images'}", hint=HINT)
    return [row | {SPLIT: row[SPLIT] or "train"} for row in rows.values()]


def _lines_of(text: str) -> csv.DictReader[str]:
    """Return the lines after the names of the columns; a first line ``sep=;``, as Excel has it, says the separator."""
    declared = re.match(r"sep=([,;\t])[\r\n]", text)
    first_line = text.partition("\n")[0]
    delimiter = declared[1] if declared else max(",;\t", key=first_line.count)
    # Not the text's own lines, which end at separators that may be in the name of a class.
    file = io.StringIO(text, newline="")
    lines = csv.DictReader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    if declared:
        next(lines.reader)
    return lines


def _more(line: Mapping[str | None, Any]) -> Sequence[str]:
    """Return the fields of a line for which the first line has no name; a spreadsheet leaves empty ones."""
    return line.get(None) or ()


def _columns(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the name of each column in the file."""
    spelled = {name.strip().lower(): name for name in names if name}
    counts = Counter(name.strip().lower() for name in names if name)
    twice = [name for candidates in COLUMNS.values() for name in candidates if counts[name] > 1]
    if twice:
        raise bb.DataError(f"{path} has two columns called {' and '.join(twice)}", hint="rename one of them")
    columns = {
        column: next((spelled[name] for name in candidates if name in spelled), None)
        for column, candidates in COLUMNS.items()
    }
    missing = [column for column in (PATH, CLASS) if columns[column] is None]
    if missing:
        raise bb.DataError(f"{path} has no column called {' or '.join(missing)}: {', '.join(names)}", hint=HINT)
    return {column: name for column, name in columns.items() if name is not None}


def _problems(folder: Path, rows: Mapping[int, Mapping[str, str]]) -> Iterator[str]:
    """Yield what is wrong with the rows, which are by the numbers of their lines."""
    # The same file may be listed by an absolute path, through .. and as a link: it must not be in two splits.
    file_of = {number: realpath(folder / row[PATH]) for number, row in rows.items()}
    counts = Counter(file_of.values())
    are_split = any(row[SPLIT] for row in rows.values())
    for number, row in rows.items():
        if not row[PATH] or not row[CLASS]:
            yield f"line {number} has no {PATH if not row[PATH] else CLASS}"
        elif are_split and not row[SPLIT]:
            yield f"line {number} has no split, while other lines have one"
        elif row[SPLIT] and row[SPLIT].lower() not in SPLIT_OF_NAME:
            yield f"line {number} has the split {row[SPLIT]!r}, which is none of train, val and test"
        elif counts[file_of[number]] > 1:
            yield f"line {number} lists {row[PATH]}, as another line does"


def _check_classes(table: Path, by_split: Mapping[str, Sequence[Item]], class_names: Sequence[str]) -> None:
    present = {item.label for item in by_split["train"]}
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        raise bb.DataError(
            f"{table}: there are no training images of {', '.join(missing)}",
            hint="give at least one line of each class the split train",
        )


@bb.hookimpl
def benchbench_datasets() -> list[type[bb.Dataset]]:
    """Offer lists of images."""
    return [ImageList]
