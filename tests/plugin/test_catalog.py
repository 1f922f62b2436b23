"""The catalog: what is known of plugins without loading them, and when it is looked up anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.distributions import install
from support.paths import PLUGINS

from benchbench.config.spec import Draft, PluginDraft
from benchbench.errors import PluginError
from benchbench.paths import cache_folder
from benchbench.plugin.catalog import KEPT_CATALOGS, Catalog, _catalog_of
from benchbench.plugin.dataset import Download
from benchbench.plugin.description import describe, type_text
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

TINY = PLUGINS / "tiny.py"
STUB = """
import benchbench as bb

class Stub(bb.Model, name="stub"):
    def build(self, data):
        raise NotImplementedError

@bb.hookimpl
def benchbench_models():
    return [Stub]
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Catalog.read([PLUGINS, PLUGINS / "_crashes.py"])


@pytest.fixture(autouse=True)
def _own_catalogs(
    _own_folders: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other test uses what is kept, damaged and thrown away here."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def kept_files() -> list[Path]:
    return sorted((cache_folder() / "catalog").glob("*"))


def test_the_catalog_knows_what_the_registry_knows(catalog: Catalog) -> None:
    registry = Registry.load([PLUGINS])
    assert {(entry.kind, entry.name): entry.origin for entry in catalog.entries} == registry.origins
    assert set(registry.broken) < set(catalog.broken)
    assert list(catalog.listeners) == [origin for origin, _ in registry.listeners]
    assert list(catalog.commands) == [origin for origin, _ in registry.commands]


def test_entries_are_sorted_by_kind_and_name(catalog: Catalog) -> None:
    keys = [(entry.kind, entry.name) for entry in catalog.entries]
    assert keys == sorted(keys)


def test_a_plugin_that_crashes_python_is_reported_and_the_others_are_listed(catalog: Catalog) -> None:
    crashes = [item for item in catalog.broken if item.origin.endswith("_crashes.py")]
    assert [item.reason for item in crashes] == ["ends Python while it loads (exit code 7)"]
    assert catalog.find("model", "alexnet").origin == "benchbench:alexnet"


def test_what_a_plugin_prints_does_not_disturb_the_catalog(catalog: Catalog) -> None:
    assert catalog.find("model", "loud").summary == "A model from a module that prints."


def test_parameters_are_described_in_words(catalog: Catalog) -> None:
    params = {param.name: param for param in catalog.find("optimizer", "adam").params}
    betas = params["betas"]
    assert (betas.type, betas.default) == ("tuple[float, float]", [0.9, 0.999])
    assert betas.limits == "each >= 0, each < 1"
    assert betas.help == "decay of the running means of the gradient and of its square"
    assert params["lr"].limits == "> 0"


def test_types_are_written_as_their_values_are(catalog: Catalog) -> None:
    params = {param.name: param.type for param in catalog.find("optimizer", "particular").params}
    assert params["limit"] == "int | none"
    assert params["depth"] == "18 | 34"
    assert params["mode"] == "fast | safe"
    assert params["milestones"] == "tuple[int, ...]"
    assert params["size"] == "int | auto"
    assert type_text(dict[str, list[float] | None]) == "dict[str, list[float] | none]"


def test_a_download_is_part_of_the_entry(catalog: Catalog) -> None:
    assert isinstance(catalog.find("dataset", "tinyimage10").download, Download)
    assert catalog.find("dataset", "digits").download is None


def test_an_unknown_name_gives_the_error_of_the_registry(catalog: Catalog) -> None:
    with pytest.raises(PluginError) as caught:
        replace(catalog, broken=()).find("model", "alexnett")
    assert caught.value.message == "no model named 'alexnett'"
    assert caught.value.hint.startswith("did you mean 'alexnet'?\nall models: bench list models")


def test_a_draft_needs_the_origins_of_all_its_plugins(catalog: Catalog) -> None:
    draft = Draft(dataset=PluginDraft(name="digits"), model=PluginDraft(name="tiny"))
    ours = {f"benchbench:{name}" for name in ("digits", "no_augmentation", "cross_entropy", "sgd", "constant")}
    assert catalog.origins_of(draft) == {str(TINY), *ours}
    composed = draft.model_copy(update={"augmentation": PluginDraft(name="default+flip")})
    assert catalog.origins_of(composed) == {str(TINY), *ours, "benchbench:flip"} - {"benchbench:no_augmentation"}


@pytest.mark.parametrize("name", ["stub", "net.py:stub"])
def test_a_name_that_is_ambiguous_is_refused_with_names_that_are_not(name: str, tmp_path: Path) -> None:
    files = [tmp_path / folder / "net.py" for folder in ("v1", "v2")]
    for file in files:
        file.parent.mkdir()
        file.write_text(STUB)
    catalog = _catalog_of(Registry.load(files, only=set(map(str, files))))
    with pytest.raises(PluginError, match=f"2 models are called '{name}'") as caught:
        catalog.check_name("model", PluginDraft(name=name))
    assert caught.value.hint == "say which one is meant: v1/net.py:stub, v2/net.py:stub"
    for file in files:
        asked = PluginDraft(name=f"{file.parent.name}/net.py:stub")
        catalog.check_name("model", asked)
        assert catalog.find("model", asked.name).origin == str(file)


def test_a_class_without_a_docstring_has_no_summary() -> None:
    registry = Registry.load([PLUGINS / "bad_classes.py"], only={str(PLUGINS / "bad_classes.py")})
    without_doc = type("Bare", (registry.get("model", "kept"),), {"__doc__": None})
    assert describe(without_doc, "here").summary == ""


@pytest.mark.slow
def test_the_catalog_is_kept_until_a_plugin_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "stub.py"
    file.write_text(STUB)
    Catalog.read([file])
    (kept,) = kept_files()
    made = kept.stat().st_ino
    Catalog.read([file])
    assert kept.stat().st_ino == made
    file.write_text(STUB.replace('"stub"', '"changed"'))
    assert Catalog.read([file]).find("model", "changed")
    assert len(kept_files()) == 2


ASKS = "import os\nif 'MY_IMAGES' not in os.environ:\n    {failure}\n"


@pytest.mark.parametrize(
    "text",
    [
        ASKS.format(failure="raise KeyError('MY_IMAGES')") + STUB,
        ASKS.format(failure="os._exit(3)") + STUB,
        STUB.replace("    return [Stub]", "    import os; os.environ['MY_IMAGES']\n    return [Stub]"),
    ],
    ids=["import", "crash", "hook"],
)
def test_a_plugin_is_no_longer_broken_once_a_cause_outside_of_its_file_is_gone(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DISABLE", "benchbench")  # the shipped plugins take seconds
    file = tmp_path / "stub.py"
    file.write_text(text)
    (broken,) = Catalog.read([file]).broken
    assert Catalog.kept([file]) is not None
    monkeypatch.setenv("MY_IMAGES", "here")
    assert broken.raised
    assert Catalog.read([file]).find("model", "stub")
    assert not Catalog.read([file]).broken


@pytest.mark.slow
def test_a_damaged_cache_is_made_again() -> None:
    before = Catalog.read()
    (kept,) = kept_files()
    for damage in ("", '{"entries": [1], "broken": []}'):
        kept.write_text(damage)
        assert Catalog.read() == before
    assert json.loads(kept.read_text())["broken"] == []


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(in_the_way))
    assert Catalog.read().find("model", "alexnet")


def test_old_catalogs_are_thrown_away() -> None:
    folder = cache_folder() / "catalog"
    folder.mkdir(parents=True)
    for number in range(KEPT_CATALOGS + 5):
        old = folder / f"{number}.json"
        old.write_text("{}")
        os.utime(old, (number, number))
    Catalog.read()
    assert len(kept_files()) == KEPT_CATALOGS
    assert not (folder / "5.json").exists()


@pytest.mark.slow
def test_installing_a_package_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "stub" not in [entry.name for entry in Catalog.read().entries]
    (tmp_path / "stub_plugin.py").write_text(STUB)
    install(tmp_path, "stub", "stub_plugin")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert Catalog.read().find("model", "stub").origin == "stub:main"


@pytest.mark.slow
def test_a_change_deep_in_a_package_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "deep_plugin"
    (package / "models").mkdir(parents=True)
    for name in ("__init__.py", "models/__init__.py"):
        (package / name).write_text("")
    (package / "plugins.py").write_text("from deep_plugin.models.net import *\n")
    (package / "models" / "net.py").write_text(STUB)
    install(tmp_path, "deep", "deep_plugin.plugins")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert Catalog.read().find("model", "stub").origin == "deep:main"
    (package / "models" / "net.py").write_text(STUB.replace('"stub"', '"other"'))
    assert Catalog.read().find("model", "other").origin == "deep:main"


def test_reading_a_kept_catalog_imports_neither_torch_nor_pydantic() -> None:
    Catalog.read()
    program = (
        "import sys; from benchbench.plugin.catalog import Catalog; assert Catalog.read().entries;"
        "print([name for name in ('torch', 'mlflow', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
