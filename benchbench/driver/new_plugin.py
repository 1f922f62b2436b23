"""A new plugin, as a package that pip installs or as one file, from the templates beside this module.

A kind of plugin needs one template: ``KIND.py.txt``.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchbench.config.kinds import KINDS, OPTIONS
from benchbench.driver.output_files import writing
from benchbench.errors import PluginError, SpecError, closest
from benchbench.paths import write_atomically
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.discovery import loose_files
from benchbench.plugin.names import PLUGIN_NAME

_TEMPLATES = Path(__file__).with_name("templates")
TEMPLATE_KINDS = tuple(kind for kind in KINDS if (_TEMPLATES / f"{kind}.py.txt").exists())
"""The kinds of plugin that can be begun."""


_USES: dict[str, str] = {
    "dataset": "bench run alexnet $name --epochs 2 --set dataset.image_size=64",
    "model": "bench run $name digits --epochs 2",
    **{kind: f"bench run alexnet digits --epochs 2 {option} $name" for kind, option in OPTIONS.items()},
}


@dataclass(frozen=True)
class NewPlugin:
    """The names that follow from the kind and the name of a plugin."""

    kind: str
    name: str

    @property
    def class_name(self) -> str:
        """The plugin's class, such as ``MyNet`` for ``my-net``."""
        words = re.split(r"[^A-Za-z0-9]+", self.name)
        joined = "".join(word[:1].upper() + word[1:] for word in words)
        return joined if joined.isidentifier() and not keyword.iskeyword(joined) else f"{self.kind.title()}{joined}"

    @property
    def distribution(self) -> str:
        """What pip calls the package: with a prefix, so that a model can be called as a library is."""
        return f"benchbench-{re.sub(r'[^a-z0-9]+', '-', self.name.lower()).strip('-')}"

    @property
    def module(self) -> str:
        """The package to import."""
        return self.distribution.replace("-", "_")

    @property
    def use(self) -> str:
        """The command that trains with it."""
        return Template(_USES[self.kind]).substitute(name=self.name)

    def filled(self, template: str) -> str:
        """Return the text of a template with these names."""
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        return Template(text).substitute(
            kind=self.kind,
            name=self.name,
            class_name=self.class_name,
            distribution=self.distribution,
            module=self.module,
            entry=self.distribution.removeprefix("benchbench-"),
            use=self.use,
        )


def new_file(kind: str, name: str, folder: Path) -> Path:
    """Write one file and return its path; raises :class:`~benchbench.errors.BenchError` if it is there."""
    plugin = _checked(kind, name)
    path = folder / f"{plugin.module.removeprefix('benchbench_')}.py"
    _refuse_existing(path)
    with writing(path):
        write_atomically(path, plugin.filled(f"{kind}.py.txt"))
    return path


def new_package(kind: str, name: str, folder: Path) -> Path:
    """Write a package with its tests and return its folder; raises :class:`~benchbench.errors.BenchError`."""
    plugin = _checked(kind, name)
    if importlib.util.find_spec(plugin.module) is not None:
        raise SpecError(f"a package {plugin.module} is installed already", hint="choose another name")
    path = folder / plugin.distribution
    _refuse_existing(path)
    source = f"src/{plugin.module}"
    files = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        f"{source}/__init__.py": "package.txt",
        f"{source}/plugin.py": f"{kind}.py.txt",
        f"tests/test_{plugin.module.removeprefix('benchbench_')}.py": "test_plugin.py.txt",
    }
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-new-") as unfinished:
            for file, template in files.items():
                target = Path(unfinished) / "package" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(plugin.filled(template), encoding="utf-8")
            shutil.move(Path(unfinished) / "package", path)
    return path


def _checked(kind: str, name: str) -> NewPlugin:
    """Return the names of a new plugin, or raise an error for a kind or a name that cannot be used."""
    if kind not in TEMPLATE_KINDS:
        kinds = ", ".join(TEMPLATE_KINDS)
        raise SpecError(
            f"no kind of plugin is called {kind!r}", hint=closest(kind, TEMPLATE_KINDS) or f"kinds: {kinds}"
        )
    if not PLUGIN_NAME.fullmatch(name) or not name.isascii():
        raise SpecError(
            f"{name!r} cannot name a plugin", hint="letters, digits and _ . -, a letter or digit first: my-net"
        )
    known = {entry.name: entry.origin for entry in Catalog.read(loose_files()).of_kind(kind)}
    if name in known:
        raise PluginError(f"a {kind} named {name!r} is in {known[name]} already", hint="choose another name")
    return NewPlugin(kind, name)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise SpecError(f"{path} exists already", hint="choose another name, or another --folder")
