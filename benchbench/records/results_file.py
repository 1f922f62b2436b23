"""Results files: the runs of an experiment in one zip archive, to be taken elsewhere and read in again.

::

    manifest.json                    format, the runs without their metrics and files, and looks at comparisons
    runs/<run id>/metrics.json       every point of every metric
    runs/<run id>/artifacts/...      the files that the run keeps
    runs/<run id>/model/...          its trained model, if that was asked for

No absolute path and no credentials are in it, but for paths that are parameters of a spec: they are part of its id.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from benchbench.errors import SpecError
from benchbench.records import file_names
from benchbench.records.cleaning import cleaned, cleaned_json, cleaned_predictions, cleaned_toml
from benchbench.records.json_adapter import json_adapter
from benchbench.records.record import Record, RecordError
from benchbench.records.zip_errors import ZIP_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = 1
SUFFIX = ".bench"
MANIFEST = "manifest.json"
MAX_FILE_BYTES = 8 << 30
"""What a single file of an archive may unpack to. Models are the largest."""

MAX_TEXT_BYTES = 1 << 27
"""The same for what is read into memory: the manifest, and the metrics of one run."""

MAX_BYTES = 64 << 30
"""What a whole archive may unpack to."""

_UNSAFE = ("\\", ":") if os.name == "nt" else ()
"""Elsewhere, these are characters as all others."""

_BLOCK_BYTES = 1 << 20
_TEXTS = (".toml", ".yaml", ".yml", ".txt")


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True)
class Input:
    """A dataset input of a run, as MLflow keeps it: ``source``, ``schema`` and ``profile`` are JSON texts."""

    name: str
    context: str
    digest: str
    source: str
    schema: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run without its metrics and files. ``parent`` is the id of another run in the same file."""

    run_id: str
    name: str
    status: Literal["FINISHED", "FAILED", "KILLED"]
    started_ms: int
    ended_ms: int | None = None
    parent: str = ""
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a results file has, and who wrote it.

    ``looks`` are the numbers of trials at which comparisons were looked at, by comparison and test.
    """

    format: int = FORMAT
    benchbench: str
    experiment: str
    runs: tuple[Run, ...]
    looks: dict[str, dict[str, list[int]]] = field(default_factory=dict)


@cache
def _points() -> TypeAdapter[tuple[Point, ...]]:
    return TypeAdapter(tuple[Point, ...], config={"ser_json_inf_nan": "strings"})


class Writer:
    """A results file while it is written: first the files of all runs, then the manifest."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def metrics(self, run_id: str, points: tuple[Point, ...]) -> None:
        """Add the metrics of a run."""
        self._archive.writestr(f"runs/{run_id}/metrics.json", _points().dump_json(points))

    def artifact(self, run_id: str, name: str, path: Path) -> None:
        """Add a file that a run keeps, without the absolute paths in it."""
        target = f"runs/{run_id}/artifacts/{name}"
        if path.suffix == ".json":
            self._add(path, target, cleaned_json)
        elif name == file_names.PREDICTIONS:
            self._add(path, target, cleaned_predictions)
        elif name in (file_names.SPEC, file_names.GRID):
            self._add(path, target, cleaned_toml)
        else:
            self._add(path, target, cleaned if _is_text(path) else None)

    def model(self, run_id: str, folder: Path) -> None:
        """Add the trained model of a run, a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target = f"runs/{run_id}/model/{path.relative_to(folder).as_posix()}"
                self._add(path, target, cleaned if _is_text(path) else None)

    def manifest(self, manifest: Manifest) -> None:
        """Add the manifest, which makes the file whole."""
        self._archive.writestr(MANIFEST, json_adapter(Manifest).dump_json(manifest, indent=2))

    def _add(self, path: Path, target: str, clean: Callable[[str], str] | None) -> None:
        """Add a file, as it is or cleaned; one that should be text and is not stays as it is."""
        try:
            text = clean(path.read_text(encoding="utf-8")) if clean else None
        except UnicodeDecodeError:
            text = None
        if text is None:
            self._archive.write(path, target)
        else:
            self._archive.writestr(target, text)


def _is_text(path: Path) -> bool:
    """Tell whether a file may have paths in it; in the description of a model, MLflow notes where it lies."""
    return path.name == file_names.MODEL_DESCRIPTION or path.suffix in _TEXTS


class Reader:
    """A results file that is read. Nothing in it is unpacked to a name that the file chooses."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        total = sum(info.file_size for info in archive.infolist())
        if total > MAX_BYTES:
            raise SpecError(
                f"{path} unpacks to {total / 1e9:.0f} GB, more than the {MAX_BYTES / 1e9:.0f} that are read",
                hint="export fewer runs (--run), or without models (--artifacts light)",
            )
        self.manifest = self._read_manifest()
        for run in self.manifest.runs:
            self.record(run.run_id)  # one of another version is told of before anything is written

    def metrics(self, run_id: str) -> tuple[Point, ...]:
        """Return the metrics of a run."""
        try:
            return _points().validate_json(self._read(f"runs/{run_id}/metrics.json"))
        except ValidationError as error:
            raise self._damaged(f"the metrics of run {run_id}") from error

    def record(self, run_id: str) -> Record | None:
        """Return the record of a run, if it keeps one."""
        name = f"runs/{run_id}/artifacts/{file_names.RECORD}"
        if name not in self._archive.namelist():
            return None
        try:
            return Record.from_json(self._read(name))
        except RecordError as error:
            raise SpecError(
                f"{self._path}: {name} {error}", hint=f"benchbench {self.manifest.benchbench} wrote the file"
            ) from error

    def text(self, run_id: str, name: str) -> str | None:
        """Return a text among the artifacts of a run, or None if it has no such file."""
        full_name = f"runs/{run_id}/artifacts/{name}"
        return self._read(full_name).decode(errors="replace") if full_name in self._archive.namelist() else None

    def unpack(self, run_id: str, kind: str, folder: Path) -> Path | None:
        """Write the ``artifacts`` or the ``model`` of a run into a folder and return it, or None if it has none."""
        prefix = f"runs/{run_id}/{kind}/"
        names = [name for name in self._archive.namelist() if name.startswith(prefix) and not name.endswith("/")]
        for name in names:
            relative = PurePosixPath(name.removeprefix(prefix))
            if relative.is_absolute() or ".." in relative.parts or any(each in name for each in _UNSAFE):
                raise self._damaged(f"a file of an unsafe name, {name!r}")
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.writelines(self._blocks(name, MAX_FILE_BYTES))
        return folder if names else None

    def _read_manifest(self) -> Manifest:
        try:
            written = json.loads(self._read(MANIFEST))
            its_format = written.get("format")
        except (ValueError, AttributeError, RecursionError) as error:
            raise self._damaged("the manifest") from error
        if its_format != FORMAT:
            raise SpecError(
                f"{self._path} is of format {its_format!r}, and this benchbench reads format {FORMAT}",
                hint=f"read it with the version that wrote it, {written.get('benchbench', 'which it does not tell')}",
            )
        try:
            manifest = json_adapter(Manifest).validate_python(written)
        except ValidationError as error:
            raise self._damaged("the manifest") from error
        for run in manifest.runs:
            if not re.fullmatch(r"[0-9a-zA-Z_-]+", run.run_id):
                raise self._damaged(f"the run id {run.run_id!r}")
        return manifest

    def _read(self, name: str) -> bytes:
        return b"".join(self._blocks(name, MAX_TEXT_BYTES))

    def _blocks(self, name: str, max_bytes: int) -> Iterator[bytes]:
        """Yield the content of a file, block by block: a small archive may unpack to more than the memory holds."""
        try:
            info = self._archive.getinfo(name)
            if info.file_size > max_bytes:
                raise self._damaged(f"{name}, of {info.file_size / 1e9:.0f} GB,")
            with self._archive.open(info) as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
        except KeyError:
            raise SpecError(
                f"{self._path} is not a results file: {name} is missing", hint="`bench export` writes one"
            ) from None
        except ZIP_ERRORS as error:
            raise self._damaged(name) from error

    def _damaged(self, part: str) -> SpecError:
        return SpecError(f"{self._path} is damaged: {part} cannot be read", hint="export it or copy it again")


@contextmanager
def read(path: Path) -> Iterator[Reader]:
    """Open a results file; raises :class:`~benchbench.errors.SpecError` if it is none."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise SpecError(f"there is no file {path}", hint="`bench export -o FILE` writes one") from None
    except ZIP_ERRORS as error:
        raise SpecError(f"{path} is not a results file: {error}", hint="`bench export -o FILE` writes one") from None
    with archive:
        yield Reader(path, archive)
