"""Where the images of each dataset are: named by ``--data``, by ``BENCH_DATA``, or in the folder of downloads."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench import variables
from benchbench.errors import DataError, SpecError, closest
from benchbench.paths import cache_folder, expanded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from benchbench.plugin.dataset import Download, Downloads

OPTION = "--data"


def data_folder() -> Path:
    """Return the folder that downloads are kept in. It need not exist."""
    return cache_folder() / "data"


@dataclass(frozen=True)
class DataPaths:
    """The paths that the user named, by dataset; ``""`` stands for every dataset without a path of its own."""

    option: Mapping[str, Path] = field(default_factory=dict)
    variable: Mapping[str, Path] = field(default_factory=dict)

    @staticmethod
    def of(option: Mapping[str, Path], *, known: Collection[str], used: Collection[str] | None = None) -> DataPaths:
        """Return the paths of ``--data``, as :func:`parse_data_options` reads them, and those of ``BENCH_DATA``.

        ``known`` are the names of all datasets; ``used`` are those that the command needs. Raises
        :class:`~benchbench.errors.SpecError` for a name that is not known, and for one in ``--data`` that is not
        used: its images would be taken from elsewhere, or downloaded.
        """
        variable = named_by_variable()
        for source, paths in ((OPTION, option), (variables.DATA, variable)):
            for name, path in paths.items():
                if name and name not in known:
                    raise _unknown(source, name, path, known)
        for name, path in option.items():
            if name and used is not None and name not in used:
                raise SpecError(
                    f"{OPTION} {name}={path}: no trial uses dataset {name!r}", hint=f"used: {', '.join(sorted(used))}"
                )
        return DataPaths(option, variable)

    def locate(self, name: str, download: Download | Downloads | None) -> Path:
        """Return where the images of a dataset are, or would be if they were downloaded.

        ``--data`` counts before ``BENCH_DATA``, and a path of the dataset's own before one for all datasets. Raises
        :class:`~benchbench.errors.DataError` if a path that was named does not exist.
        """
        for source, paths in ((OPTION, self.option), (variables.DATA, self.variable)):
            path = paths.get(name) or paths.get("")
            if path and not _exists(path, source):
                raise DataError(f"no images of {name} at {path}: there is no such file or folder ({source})")
            if path:
                return path
        return data_folder() / (download.file_name if download else name)


def _exists(path: Path, source: str) -> bool:
    try:
        str(path).encode()
        return path.exists()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise DataError(f"the path {shown} is not UTF-8 ({source})", hint="rename the file or folder") from None
    except OSError as error:  # a folder that one may not enter
        raise DataError(f"cannot look at {path}: {error.strerror} ({source})") from error


def named_by_variable() -> dict[str, Path]:
    """Return the paths of ``BENCH_DATA``, by dataset."""
    return parse_data_options(filter(None, os.environ.get(variables.DATA, "").split(os.pathsep)), source=variables.DATA)


def parse_data_options(values: Iterable[str], *, source: str = OPTION) -> dict[str, Path]:
    """Return ``{name: path}`` for texts such as ``NAME=PATH``; the name of a text ``PATH`` is "".

    Raises :class:`~benchbench.errors.SpecError` for an empty path, and for two paths of one name.
    """
    paths: dict[str, Path] = {}
    for value in values:
        name, path = _split(value)
        if not path:
            raise SpecError(f"{source} {value!r} has no path", hint=f"{source} PATH, or {source} NAME=PATH")
        if name in paths:
            datasets = f"dataset {name!r}" if name else "all datasets"
            raise SpecError(f"{source} names two paths for {datasets}", hint=f"{source} NAME=PATH, once per dataset")
        paths[name] = expanded(path)
    return paths


def _split(value: str) -> tuple[str, str]:
    # A dataset of a plugin file may be called folder/file.py:name.
    match = re.fullmatch(r"((?:[^=]*\.py:)?[^/\\=]+)=(.*)", value, re.DOTALL)
    is_path = match is None or Path(value).exists()  # a path may have = in it
    return ("", value) if match is None or is_path else (match[1].strip(), match[2])


def _unknown(source: str, name: str, path: Path, known: Collection[str]) -> SpecError:
    hints = (
        closest(name, known),
        "all datasets: bench list datasets",
        f"for a path with = in it: {source} ./{name}={path}",
    )
    return SpecError(f"{source} {name}={path}: there is no dataset {name!r}", hint="\n".join(filter(None, hints)))
