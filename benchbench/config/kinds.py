"""The kinds of plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["dataset", "augmentation", "model", "loss", "optimizer", "scheduler"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OPTIONS: Mapping[Kind, str] = {
    "optimizer": "--optimizer",
    "scheduler": "--scheduler",
    "augmentation": "--augment",
    "loss": "--loss",
}
"""The options that name plugins, by kind; the model and the dataset are arguments."""

COMPOSING: frozenset[Kind] = frozenset({"augmentation"})
"""The kinds of which a trial may have several, one after the other: see :mod:`benchbench.config.composition`."""


def plain_key(key: str) -> str:
    """Return ``optimizer`` for ``optimizer.name``: the key of a plugin's name is its kind."""
    kind, _, rest = key.partition(".")
    return kind if kind in KINDS and rest == "name" else key


def plural(kind: str) -> str:
    """Return the word for several plugins of a kind, as in ``bench list losses``."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def in_words(words: tuple[str, ...] = KINDS) -> str:
    """Return ``dataset, augmentation, ... or scheduler``."""
    return f"{', '.join(words[:-1])} or {words[-1]}"


def changed_kinds(sources: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """Return the kinds of plugins whose source differs from an earlier one that is known."""
    return [kind for kind, digest in sources.items() if before.get(kind, digest) != digest]


def describe_changed(sources: Mapping[str, str], before: Mapping[str, str]) -> str:
    """Return such as ``dataset and model plugin changed``, or an empty text."""
    kinds = changed_kinds(sources, before)
    return f"{' and '.join(kinds)} plugin changed" if kinds else ""
