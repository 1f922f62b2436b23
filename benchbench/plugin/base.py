"""The base class of all plugins.

A plugin is its own configuration: a frozen pydantic model whose fields are its parameters. Its name is a class
keyword, ``class Tiny(Model, name="tiny")``, and its ``build()`` or ``load()`` makes the live object.
Nothing here imports torch: plugins may, and the driver process never loads one that does.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field


def param(default: Any, help: str, **limits: Any) -> Any:  # noqa: A002 - the word that users read
    """Declare a parameter: its default, one line of help, and limits such as ``ge=0`` or ``lt=1``.

    The annotation beside it is its type. Limits are those of :func:`pydantic.Field`.
    """
    return Field(default, description=help, **limits)


def union_members(annotation: object) -> tuple[object, ...]:
    """Return the types that a union is made of, without their limits; of any other type, that one."""
    if get_origin(annotation) is Annotated:
        return union_members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(member for part in get_args(annotation) for member in union_members(part))
    return (annotation,)


def allows_none(annotation: object) -> bool:
    """Tell whether ``None`` is a value of the annotated type."""
    return any(member in (None, type(None)) for member in union_members(annotation))


class Plugin(BaseModel):
    """The base of all plugins: a name, a kind, an integer revision, and parameters.

    The author raises ``revision`` (a class keyword) when the same parameters give other results than before. Trials
    that finished with an older revision then no longer count as done.

    Numbers must be finite. A parameter that may be infinite says so: ``param(..., allow_inf_nan=True)``.
    In specs and records, such a number is the text ``inf``, ``-inf`` or ``nan``.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    revision: ClassVar[int] = 1

    def __init_subclass__(cls, *, name: str | None = None, revision: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            cls.name = name
        if revision is not None:
            cls.revision = revision
        elif "revision" not in vars(cls):
            cls.revision = 1  # a revision belongs to a class, not to those that inherit from it
