"""Descriptions of plugins as plain data, for ``bench list`` and ``bench show``."""

from __future__ import annotations

import enum
import inspect
import os
import types
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

    from benchbench.plugin.base import Plugin
    from benchbench.plugin.dataset import Download, Downloads

_LIMITS = {
    "gt": "> {}",
    "ge": ">= {}",
    "lt": "< {}",
    "le": "<= {}",
    "multiple_of": "multiple of {}",
    "min_length": "length >= {}",
    "max_length": "length <= {}",
    "pattern": "like {}",
}
_NOWHERE = Path(os.devnull) / "nowhere"
"""A path that never exists."""


@dataclass(frozen=True)
class Param:
    """One parameter: its default as JSON, and the rest as text for people."""

    name: str
    type: str
    default: Any
    limits: str
    help: str


@dataclass(frozen=True)
class Entry:
    """One plugin. ``summary`` is the first line of its docstring, and ``doc`` all of it.

    ``augmentation`` is that of a dataset if a trial names none; "" for other kinds. ``has_files`` tells whether a
    dataset reads files.
    """

    kind: str
    name: str
    summary: str
    doc: str
    origin: str
    revision: int
    params: tuple[Param, ...]
    download_facts: dict[str, Any] | None
    sha256: dict[str, str]
    augmentation: str
    has_files: bool

    @property
    def download(self) -> Download | Downloads | None:
        """Return the file or files that a dataset is downloaded from, or None."""
        if self.download_facts is None:
            return None
        from benchbench.plugin.dataset import Download, Downloads

        if "files" not in self.download_facts:
            return Download(**self.download_facts)
        files = tuple(Download(**file) for file in self.download_facts["files"])
        return Downloads(self.download_facts["file_name"], files)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the entry that :meth:`to_json` described; any error means that it did not."""
        return cls(**{**data, "params": tuple(Param(**param) for param in data["params"])})


def describe(cls: type[Plugin], origin: str) -> Entry:
    """Return the description of a plugin class."""
    # In a terminal, one backtick around a name reads better than two.
    doc = inspect.cleandoc(cls.__doc__ or "").replace("``", "`")
    plugin = cls()
    defaults = plugin.model_dump(mode="json")
    download: Download | Downloads | None = getattr(cls, "download", None)
    return Entry(
        kind=cls.kind,
        name=cls.name,
        summary=doc.partition("\n")[0],
        doc=doc,
        origin=origin,
        revision=cls.revision,
        params=tuple(_param(name, cls.model_fields[name], defaults[name]) for name in names_of_params(cls)),
        download_facts=asdict(download) if download else None,
        sha256=dict(getattr(cls, "sha256", {})),
        augmentation=getattr(cls, "augmentation", ""),
        has_files=_has_files(plugin),
    )


def _has_files(plugin: Plugin) -> bool:
    """Tell whether a plugin is a dataset that reads files, wherever they may be."""
    sources = getattr(plugin, "sources", None)
    try:
        return sources is not None and sources(_NOWHERE) != ()
    except Exception:  # noqa: BLE001 - a plugin may look into its files
        return True


def names_of_params(cls: type[Plugin]) -> list[str]:
    """Return the names of the parameters: those of the plugin itself, then those that every plugin of its kind has."""
    own = {name for parent in cls.__mro__ if getattr(parent, "name", "") for name in inspect.get_annotations(parent)}
    return sorted(cls.model_fields, key=lambda name: name not in own)


def type_text(annotation: object) -> str:
    """Return a type in the words in which users write its values: ``int | none``, ``18 | 34``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation in (None, types.NoneType, ...):
        return "..." if annotation is ... else "none"
    if origin is Annotated:
        return type_text(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(map(type_text, args))
    if getattr(annotation, "type_text", ""):
        return str(annotation.type_text)  # type: ignore[attr-defined]
    choices = _choices(annotation)
    name = getattr(origin or annotation, "__name__", str(annotation))
    return choices or (f"{name}[{', '.join(map(type_text, args))}]" if args else name)


def _choices(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " | ".join(str(member.value) for member in annotation)
    return ""


def _param(name: str, info: FieldInfo, default: object) -> Param:
    own = list(_limits(info.metadata))
    limits = own or [f"each {limit}" for limit in _inner_limits(info.annotation)]
    return Param(
        name=name,
        type=type_text(info.annotation),
        default=default,
        limits=", ".join(dict.fromkeys(limits)),
        help=info.description or "",
    )


def _limits(metadata: Iterable[object]) -> Iterator[str]:
    for item in metadata:
        # Annotated keeps a Field as it was written, with its own limits inside.
        yield from _limits(getattr(item, "metadata", ()))
        for attribute, words in _LIMITS.items():
            limit = getattr(item, attribute, None)
            if limit is not None:
                yield words.format(limit)


def _inner_limits(annotation: object) -> Iterator[str]:
    for part in get_args(annotation):
        if get_origin(part) is Annotated:
            yield from _limits(part.__metadata__)
        yield from _inner_limits(part)
