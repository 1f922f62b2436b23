"""Loaded plugins by name. Each is loaded by itself, so that a broken plugin does not affect the others.

Loading most plugins imports torch. So the driver reads the catalog, and loads plugins only to hear events, to add
commands, and to read a dataset for ``bench data verify`` and ``show``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from benchbench.config.composition import join, part_names, split
from benchbench.config.kinds import KINDS, Kind
from benchbench.config.spec import PluginSpec, Spec, scalars_of
from benchbench.plugin import parameters
from benchbench.plugin.code import source_digest
from benchbench.plugin.dataset import Dataset
from benchbench.plugin.discovery import Broken, find_sources
from benchbench.plugin.loading import load
from benchbench.plugin.names import bare, disabled_names, is_qualified, qualified
from benchbench.plugin.unknown_name import no_such_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from benchbench.config.spec import Draft, PluginDraft
    from benchbench.plugin.augmentation import Augmentation
    from benchbench.plugin.base import Plugin
    from benchbench.plugin.discovery import Source
    from benchbench.plugin.loading import LoadedModule
    from benchbench.plugin.loss import Loss
    from benchbench.plugin.model import Model
    from benchbench.plugin.optimizer import Optimizer
    from benchbench.plugin.scheduler import Scheduler

Key = tuple[str, str]
"""Kind and name."""


@dataclass
class Registry:
    """Plugins by ``(kind, name)``, and those that are broken.

    ``listeners`` and ``commands`` are pairs of an origin and a function that takes the arguments of the hook
    ``benchbench_event`` or ``benchbench_commands`` by keyword.
    """

    plugins: dict[Key, type[Plugin]] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    listeners: list[tuple[str, Callable[..., object]]] = field(default_factory=list)
    commands: list[tuple[str, Callable[..., object]]] = field(default_factory=list)
    _source_digests: dict[Key, str] = field(default_factory=dict)

    @staticmethod
    def load(files: Iterable[str | Path] = (), *, only: Collection[str] | None = None) -> Registry:
        """Load all plugins, or those of the origins in ``only``; ``files`` are plugin files and folders.

        Of two plugins of one kind and name the first has the name: ours, then packages by name, then files as given.
        The other one is called ``package:name``, ``file.py:name`` or ``folder/file.py:name``.
        Raises :class:`~benchbench.errors.PluginError` for a path that is not there, and for nothing else.
        """
        return Registry.of(source for source in find_sources(files) if only is None or source.origin in only)

    @staticmethod
    def of(sources: Iterable[Source]) -> Registry:
        """Load these and no others, one after another."""
        registry = Registry()
        for source in sources:
            registry._add(load(source))
        return registry

    def _add(self, loaded: LoadedModule) -> None:
        self.broken += loaded.broken
        for cls in loaded.classes:
            if cls.name in disabled_names():
                continue
            key = (cls.kind, cls.name)
            if key in self.plugins:
                reason = f"{cls.kind} {cls.name!r} is already the name of one in {self.origins[key]}, which stays"
                rivals = [self.origins[kind, name] for kind, name in self.plugins if (kind, bare(name)) == key]
                key = (cls.kind, qualified(loaded.origin, cls.name, rivals))
                way_out = "" if key in self.plugins else f"; this one is called {key[1]!r}"
                self.broken.append(Broken(loaded.origin, reason + way_out))
            if key in self.plugins:
                continue
            self.plugins[key] = cls
            self.origins[key] = loaded.origin
            self._source_digests[key] = source_digest(cls, loaded.module)
        if loaded.listener:
            self.listeners.append((loaded.origin, loaded.listener))
        if loaded.commands:
            self.commands.append((loaded.origin, loaded.commands))

    def get(self, kind: Kind, name: str) -> type[Plugin]:
        """Return the plugin class; raises :class:`~benchbench.errors.PluginError` with the closest name."""
        return self.plugins[self._key(kind, name)]

    def _key(self, kind: Kind, name: str) -> Key:
        """Return the key of a plugin that is called so, or by a name that says where it is from."""
        if (kind, name) in self.plugins:
            return kind, name
        for key, origin in self.origins.items():
            if key[0] == kind and is_qualified(name, origin, bare(key[1])):
                return key
        known = [known_name for known_kind, known_name in self.plugins if known_kind == kind]
        raise no_such_plugin(kind, name, known, self.broken)

    def resolve(self, draft: Draft) -> Spec:
        """Return the draft as a spec, with every default written out.

        Raises :class:`~benchbench.errors.PluginError` for a plugin that is not there and
        :class:`~benchbench.errors.SpecError` for a parameter that is unknown, ill-typed or out of range.
        """
        draft = draft.with_default_augmentation(self._default_augmentation(draft.dataset.name))
        plugins: dict[str, Any] = {kind: self.resolve_plugin(kind, draft.plugin(kind)) for kind in KINDS}
        return Spec(**plugins, **scalars_of(draft))

    def _default_augmentation(self, dataset: str) -> str:
        cls = self.get("dataset", dataset)
        assert issubclass(cls, Dataset)  # noqa: S101 - checked when it was loaded
        return cls.augmentation

    def resolve_plugin(self, kind: Kind, asked: PluginDraft) -> PluginSpec:
        """Return one plugin of a draft, which is not ``default``, with every parameter written out."""
        params = split(asked.name, asked.params, kind=kind)
        texts = split(asked.name, asked.texts, kind=kind)
        configs = {
            name: parameters.read(self.get(kind, name), own, own_texts)
            for (name, own), (_, own_texts) in zip(params, texts, strict=True)
        }
        name, joined = join([(name, parameters.to_json(config)) for name, config in configs.items()])
        return PluginSpec(name, sum(config.revision for config in configs.values()), joined)

    @overload
    def create(self, kind: Literal["dataset"], spec: PluginSpec) -> Dataset: ...
    @overload
    def create(self, kind: Literal["model"], spec: PluginSpec) -> Model: ...
    @overload
    def create(self, kind: Literal["loss"], spec: PluginSpec) -> Loss: ...
    @overload
    def create(self, kind: Literal["optimizer"], spec: PluginSpec) -> Optimizer: ...
    @overload
    def create(self, kind: Literal["scheduler"], spec: PluginSpec) -> Scheduler: ...

    def create(self, kind: Kind, spec: PluginSpec) -> Plugin:
        """Return the plugin with the parameters of a resolved spec, which may be of another revision."""
        return parameters.read(self.get(kind, spec.name), spec.params)

    def create_augmentations(self, spec: PluginSpec) -> tuple[Augmentation, ...]:
        """Return the augmentations of a resolved spec, in their order."""
        parts = split(spec.name, spec.params, kind="augmentation")
        return tuple(parameters.read(self.get("augmentation", name), params) for name, params in parts)  # type: ignore[misc]

    def origin(self, kind: Kind, name: str) -> str:
        """Return where a plugin came from; for several, one origin after the other."""
        return ", ".join(dict.fromkeys(self.origins[self._key(kind, part)] for part in part_names(name, kind=kind)))

    def source_digest(self, kind: Kind, name: str) -> str:
        """Return the sha256 of the source files behind the plugin as they were when loaded, or "" without a file."""
        digests = [self._source_digests[self._key(kind, part)] for part in part_names(name, kind=kind)]
        return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
