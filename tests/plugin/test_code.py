"""Which source files a plugin's results depend on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.distributions import install
from support.paths import PLUGINS

from benchbench.plugin.code import loose_source_files, source_files
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
import benchbench as bb

class Parted(bb.Model, name="parted"):
    def build(self, data):
        from {layers} import layer
        return layer(data)

@bb.hookimpl
def benchbench_models():
    return [Parted]
"""
LAYERS = "from .sizes import WIDTH\ndef layer(data): ...\n"


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an installed package ``parted`` whose plugin imports its neighbours inside build()."""
    folder = write(
        tmp_path / "parted",
        __init__="",
        plugin=PLUGIN.format(layers="parted.layers"),
        layers=LAYERS,
        sizes="WIDTH = 3\n",
        unrelated="",
    )
    install(tmp_path, "parted", "parted.plugin")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "parted"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def parted(files: tuple[Path, ...] = ()) -> Registry:
    return Registry.load(files, only={"parted:main", *map(str, files)})


def names(files: tuple[Path, ...]) -> set[str]:
    return {path.name for path in files}


def test_modules_of_the_package_that_are_imported_count_and_others_do_not(package: Path) -> None:
    files = source_files(parted().get("model", "parted"))
    assert set(files) == {package / f"{name}.py" for name in ("__init__", "plugin", "layers", "sizes")}


def test_a_change_deep_in_the_package_changes_the_digest(package: Path) -> None:
    before = parted().source_digest("model", "parted")
    (package / "unrelated.py").write_text("# changed")
    assert parted().source_digest("model", "parted") == before
    (package / "sizes.py").write_text("WIDTH = 4\n")
    assert parted().source_digest("model", "parted") != before


def test_all_modules_count_if_the_package_imports_by_names_made_at_run_time(package: Path) -> None:
    (package / "layers.py").write_text("import importlib\ndef layer(name): importlib.import_module(name)\n")
    assert package / "unrelated.py" in source_files(parted().get("model", "parted"))


def test_a_neighbour_that_a_loose_file_imports_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "loose", mine=PLUGIN.format(layers="layers"), layers="SIZE = 1", other="")
    mine = folder / "mine.py"
    before = parted((mine,)).source_digest("model", "parted")
    (folder / "other.py").write_text("# changed")
    assert parted((mine,)).source_digest("model", "parted") == before
    (folder / "layers.py").write_text("SIZE = 2")
    assert parted((mine,)).source_digest("model", "parted") != before


def test_a_neighbour_may_be_a_package_and_import_in_a_circle(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="from nets import small") / "mine.py"
    write(tmp_path / "nets", __init__="from . import small", small="import nets", large="")
    assert names(loose_source_files(mine)) == {"mine.py", "__init__.py", "small.py"}


def test_a_file_that_does_not_parse_counts_by_itself(tmp_path: Path) -> None:
    mine = write(tmp_path, mine="import (", other="") / "mine.py"
    assert loose_source_files(mine) == (mine,)


FACTORY = """
import benchbench as bb

def make(name, width):
    class Made(bb.Model, name=name):
        def build(self, data):
            return width
    return Made
"""
MAKING = """
import benchbench as bb
from {factory} import make

Parted = make("parted", {width})

@bb.hookimpl
def benchbench_models():
    return [Parted]
"""


def test_the_module_that_has_a_class_made_by_a_function_counts(package: Path) -> None:
    write(package, factory=FACTORY, plugin=MAKING.format(factory=".factory", width=3))
    before = parted().source_digest("model", "parted")
    write(package, plugin=MAKING.format(factory=".factory", width=4))
    assert parted().source_digest("model", "parted") != before


def test_the_plugin_file_that_has_a_class_made_by_a_neighbour_counts(tmp_path: Path) -> None:
    mine = write(tmp_path, mine=MAKING.format(factory="factory", width=3), factory=FACTORY) / "mine.py"
    before = parted((mine,)).source_digest("model", "parted")
    write(tmp_path, mine=MAKING.format(factory="factory", width=4))
    assert parted((mine,)).source_digest("model", "parted") != before


def test_the_module_that_offers_a_class_of_another_one_does_not_count(package: Path) -> None:
    (package / "models.py").write_text((package / "plugin.py").read_text())
    offering = PLUGIN.partition("class")[0] + "from .models import Parted\n\n@bb" + PLUGIN.partition("@bb")[2]
    (package / "plugin.py").write_text(offering)
    before = parted().source_digest("model", "parted")
    (package / "plugin.py").write_text(offering + "# another model")
    assert parted().source_digest("model", "parted") == before


INHERITING = """
import benchbench as bb
from {module} import {base}

class Parted({base}, name="parted"):
    pass

@bb.hookimpl
def benchbench_{kind}s():
    return [Parted]
"""
INHERITED = "import benchbench as bb\nfrom .sizes import WIDTH\nclass Base(bb.Model):\n    def build(self, data): ...\n"


def test_a_plugin_of_another_package_that_is_inherited_from_counts_with_its_imports(
    package: Path, tmp_path: Path
) -> None:
    friends = write(tmp_path / "friends", __init__="", nets=INHERITED, sizes="WIDTH = 3\n", unrelated="")
    write(package, plugin=INHERITING.format(module="friends.nets", base="Base", kind="model"))
    folders = [path.parent.name for path in source_files(parted().get("model", "parted"))]
    assert list(dict.fromkeys(folders)) == ["parted", "friends"], "in an order that no path decides"
    before = parted().source_digest("model", "parted")
    write(friends, unrelated="# changed")
    assert parted().source_digest("model", "parted") == before
    write(friends, sizes="WIDTH = 4\n")
    assert parted().source_digest("model", "parted") != before


def test_a_shipped_plugin_counts_for_those_that_inherit_from_it(tmp_path: Path) -> None:
    text = INHERITING.format(module="benchbench_plugins.imagefolder", base="ImageFolder", kind="dataset")
    mine = write(tmp_path, mine=text) / "mine.py"
    registry = Registry.load([mine], only={"benchbench:imagefolder", str(mine)})
    assert names(source_files(registry.get("dataset", "parted"))) == {"mine.py", "imagefolder.py"}
    # What it inherits from is benchbench's own.
    assert names(source_files(registry.get("dataset", "imagefolder"))) == {"imagefolder.py"}


def test_a_class_made_without_a_file_has_no_sources() -> None:
    bare = type("Bare", (Registry.load([PLUGINS / "tiny.py"]).get("model", "tiny"),), {"__module__": "nowhere"})
    assert source_files(bare) == ()
