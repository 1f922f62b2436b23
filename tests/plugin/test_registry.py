"""The registry: names to plugins, broken plugins kept apart, drafts to specs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.distributions import install
from support.paths import PLUGINS

from benchbench.config.kinds import KINDS
from benchbench.config.spec import Draft, PluginDraft
from benchbench.errors import PluginError, SpecError
from benchbench.plugin import discovery, hooks, loading
from benchbench.plugin.catalog import Catalog
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


TINY = PLUGINS / "tiny.py"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS, PLUGINS / "broken"])


def reasons(registry: Registry, file_name: str) -> str:
    return "\n".join(item.reason for item in registry.broken if item.origin.endswith(f"/{file_name}"))


def package(folder: Path, name: str, source: str) -> None:
    """Install a distribution of one module by writing what pip would write."""
    module = f"{name}_bench_plugin"
    (folder / f"{module}.py").write_text(source)
    install(folder, name, module)


def test_every_kind_has_a_hook_and_a_base_class() -> None:
    assert vars(hooks).keys() >= {discovery.HOOK_OF_KIND[kind] for kind in KINDS}
    assert tuple(loading.BASES) == KINDS


def test_shipped_plugins_are_found_under_distribution_and_entry(registry: Registry) -> None:
    assert registry.origins["model", "alexnet"] == "benchbench:alexnet"
    assert registry.origins["optimizer", "sgd"] == "benchbench:sgd"


def test_shipped_plugins_are_all_well() -> None:
    assert Registry.load().broken == []


def test_the_example_of_the_design_is_loaded_from_a_loose_file(registry: Registry) -> None:
    assert registry.get("model", "tiny").kind == "model"
    assert registry.origins["model", "tiny"] == str(TINY)


def test_one_broken_plugin_does_not_break_the_others(registry: Registry) -> None:
    assert registry.broken
    assert {("model", "alexnet"), ("model", "tiny"), ("model", "loud")} <= registry.plugins.keys()


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("import_error.py", "No module named 'a_package_that_nobody_has'"),
        ("import_error.py", "import_error.py, line 3"),
        ("misspelt_hook.py", "no hook is named 'benchbench_model'; did you mean 'benchbench_models'?"),
        ("unmarked_hook.py", "benchbench_models is not marked with @benchbench.hookimpl"),
        ("wrong_arguments.py", "'config'"),
        ("wrong_arguments.py", "there: none"),
        ("returns_none.py", "benchbench_models returns nothing; is a return statement missing?"),
        ("hook_raises.py", "no models today"),
        ("exits.py", "ends Python (exit code 3)"),
        ("no_hooks.py", "offers nothing"),
        ("bad_classes.py", "model 'bad-default': bad default: width must be greater than or equal to 1"),
        ("bad_classes.py", "model 'no-default': parameter 'width' has no default"),
        ("bad_classes.py", "model 'NoName': it has no name"),
        ("bad_classes.py", "model 'bad name': a name is made of"),
        ("bad_classes.py", "model 'Reserved': no parameter can be called name"),
        ("bad_classes.py", "model 'shadowing': no parameter can be called copy"),
        ("bad_classes.py", "model 'idle': it has no build()"),
        ("bad_classes.py", "model 'loose': its model_config must forbid unknown parameters"),
        ("bad_classes.py", "returned Order, not a model but an optimizer"),
        ("bad_classes.py", "not Kept()"),
        ("bad_classes.py", "not 7"),
    ],
)
def test_a_broken_plugin_is_reported_with_its_reason(registry: Registry, file_name: str, reason: str) -> None:
    assert reason in reasons(registry, file_name)


def test_everything_that_is_wrong_with_a_class_is_told_at_once(registry: Registry) -> None:
    told = [line for line in reasons(registry, "bad_classes.py").splitlines() if "'hasty'" in line]
    assert [line.removeprefix("model 'hasty': ") for line in told] == [
        "its revision must be an integer, not 'two'",
        "its model_config must forbid unknown parameters",
        "it has no build()",
        "parameter 'width' has no default",
        "parameter 'height' has no default",
    ]


def test_a_class_without_a_name_is_told_of_it_once(registry: Registry) -> None:
    assert reasons(registry, "bad_classes.py").count("model 'NoName': ") == 1


def test_a_bad_class_does_not_take_its_neighbours_with_it(registry: Registry) -> None:
    assert registry.get("model", "kept").__name__ == "Kept"


def test_a_clash_keeps_the_shipped_plugin_and_names_both_origins(registry: Registry) -> None:
    assert registry.get("model", "alexnet").__name__ == "AlexNet"
    assert "benchbench:alexnet" in reasons(registry, "clash.py")


def test_a_module_with_a_clash_still_offers_its_other_plugins(registry: Registry) -> None:
    assert registry.origins["optimizer", "bystander"].endswith("clash.py")


def test_of_two_packages_with_one_name_the_first_by_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("zeta", "beta"):
        package(tmp_path, name, TINY.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry.load()
    assert registry.origins["model", "tiny"] == "beta:main"
    assert [item.origin for item in registry.broken] == ["zeta:main"]
    assert "beta:main" in registry.broken[0].reason


def test_a_package_that_does_not_parse_is_broken_and_the_rest_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "garbled", "def (:\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry.load()
    assert [item.origin for item in registry.broken] == ["garbled:main"]
    module = tmp_path / "garbled_bench_plugin.py"
    assert registry.broken[0].reason == f"SyntaxError: invalid syntax ({module}, line 1)"
    assert ("optimizer", "sgd") in registry.plugins


def test_a_file_that_does_not_parse_is_named_with_its_line_alone(workdir: Path) -> None:
    (workdir / "mine.py").write_text("import benchbench as bb\n\nWIDTHS = (64, 128\n")
    (broken,) = Registry.load(["mine.py"], only={"mine.py"}).broken
    assert broken.reason == "SyntaxError: '(' was never closed (mine.py, line 3)"


def test_only_the_origins_asked_for_are_loaded() -> None:
    registry = Registry.load([PLUGINS], only={"benchbench:sgd", str(TINY)})
    assert set(registry.plugins) == {("optimizer", "sgd"), ("model", "tiny")}
    assert registry.broken == []


def test_a_folder_stands_for_its_files_but_not_those_that_begin_with_an_underscore(tmp_path: Path) -> None:
    for name in ("one.py", "_two.py", "three.txt"):
        (tmp_path / name).write_text("")
    assert [source.origin for source in discovery.find_sources([tmp_path])][-1] == str(tmp_path / "one.py")


def test_a_file_named_twice_is_loaded_once() -> None:
    registry = Registry.load([TINY, PLUGINS / ".." / "plugins" / "tiny.py"], only={str(TINY)})
    assert registry.broken == []


def test_a_plugin_path_that_is_not_there_is_a_mistake_of_the_user() -> None:
    with pytest.raises(PluginError, match=r"no plugin file or folder 'nowhere\.py'"):
        Registry.load(["nowhere.py"])


def test_plugin_paths_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_PLUGINS", "a.py:b")
    assert discovery.loose_files(["c.py", "b"]) == ("a.py", "b", "c.py")


def test_a_loose_file_leaves_nothing_beside_it_and_nothing_on_the_path(tmp_path: Path) -> None:
    file = tmp_path / "tiny.py"
    file.write_text(TINY.read_text())
    path = list(sys.path)
    Registry.load([file], only={str(file)})
    assert [item.name for item in tmp_path.iterdir()] == ["tiny.py"]
    assert sys.path == path


def test_a_loose_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "tiny.py"
    for width in (64, 65):
        file.write_text(TINY.read_text().replace("64", str(width)))
        registry = Registry.load([file], only={str(file)})
        assert registry.get("model", "tiny")().model_dump() == {"width": width}


def test_two_loose_files_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    files = [tmp_path / folder / "net.py" for folder in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        file.write_text(TINY.read_text().replace('name="tiny"', f'name="{file.parent.name}"'))
    registry = Registry.load(files)
    assert {("model", "one"), ("model", "two")} <= registry.plugins.keys()


def test_the_source_digest_is_that_of_the_file_as_it_was_loaded(tmp_path: Path) -> None:
    file = tmp_path / "tiny.py"
    file.write_text(TINY.read_text())
    registry = Registry.load([file], only={str(file)})
    before = registry.source_digest("model", "tiny")
    file.write_text(TINY.read_text() + "# changed\n")
    assert len(before) == 64
    assert registry.source_digest("model", "tiny") == before
    assert Registry.load([file], only={str(file)}).source_digest("model", "tiny") != before


def test_listeners_and_commands_are_called_by_keyword(registry: Registry) -> None:
    (origin, listener), (_, add_commands) = registry.listeners[-1], registry.commands[0]
    app = typer.Typer()
    listener(event="an event", record=None)
    add_commands(app=app)
    assert origin.endswith("listens.py")
    assert [command.name for command in app.registered_commands] == ["hello"]


def test_an_unknown_name_suggests_the_closest_one() -> None:
    with pytest.raises(PluginError) as caught:
        Registry.load().get("model", "alexnett")
    assert caught.value.message == "no model named 'alexnett'"
    assert caught.value.hint.startswith(
        "did you mean 'alexnet'?\nall models: bench list models\na plugin in a file of your own: --plugins FILE"
    )


def test_an_unknown_name_mentions_the_broken_plugin_that_may_have_had_it() -> None:
    file = PLUGINS / "broken" / "misspelt_hook.py"
    registry = Registry.load([file], only={str(file)})
    with pytest.raises(PluginError) as caught:
        registry.get("model", "wonder")
    assert caught.value.message == "no model named 'wonder'"
    first, *others = caught.value.hint.splitlines()
    assert first.startswith(f"broken: {file}: no hook is named 'benchbench_model'")
    assert first.endswith("; bench doctor")
    assert others == ["all models: bench list models"]


def test_a_plugin_file_that_cannot_be_loaded_is_the_error_for_an_unknown_name(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("import benchbench\n\ndef build(:\n    pass\n", encoding="utf-8")
    other = PLUGINS / "broken" / "import_error.py"
    registry = Registry.load([file, other], only={str(file), str(other)})
    with pytest.raises(PluginError) as caught:
        registry.get("model", "wonder")
    assert caught.value.message == f"{file} cannot be loaded: SyntaxError: invalid syntax ({file}, line 3)"
    assert "no model named 'wonder'" in caught.value.hint
    assert f"nor can these be loaded: {other}" in caught.value.hint


CLASH = PLUGINS / "clash.py"


def test_of_two_plugins_of_one_name_the_second_is_called_by_its_file_too(registry: Registry) -> None:
    assert registry.get("model", "clash.py:alexnet").__name__ == "Impostor"
    assert registry.origin("model", "clash.py:alexnet") == str(CLASH)
    assert "; this one is called 'clash.py:alexnet'" in reasons(registry, "clash.py")


def test_the_first_of_two_plugins_can_be_called_by_its_package(registry: Registry) -> None:
    assert registry.get("model", "benchbench:alexnet") is registry.get("model", "alexnet")
    with pytest.raises(PluginError, match="no model named 'elsewhere:alexnet'"):
        registry.get("model", "elsewhere:alexnet")


def test_the_longer_name_holds_if_the_first_of_the_two_is_not_loaded() -> None:
    registry = Registry.load([CLASH], only={str(CLASH)})
    assert registry.get("model", "clash.py:alexnet").__name__ == "Impostor"
    assert registry.source_digest("model", "clash.py:alexnet")


def test_a_spec_has_the_longer_name_whether_or_not_the_first_of_the_two_is_loaded() -> None:
    draft = Draft.from_toml({"model": "clash.py:alexnet", "dataset": "digits"})
    catalog = Catalog.read([CLASH])
    alone = Registry.load([CLASH], only=catalog.origins_of(draft)).resolve(catalog.named(draft))
    beside = Registry.load([CLASH]).resolve(catalog.named(draft))
    assert alone.model.name == "clash.py:alexnet"
    assert alone.id == beside.id


def test_two_files_of_one_name_with_plugins_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files = [tmp_path / folder / "net.py" for folder in ("v1", "v2", "old/v2")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(TINY.read_text())
    registry = Registry.load(files, only=set(map(str, files)))
    names = {name: registry.origins[kind, name] for kind, name in registry.plugins}
    assert names == dict(zip(("tiny", "v2/net.py:tiny", "old/v2/net.py:tiny"), map(str, files), strict=True))
    assert registry.get("model", "v1/net.py:tiny") is registry.get("model", "tiny")
    alone = Registry.load(files, only={str(files[1])})
    assert alone.origin("model", "v2/net.py:tiny") == str(files[1])


@pytest.mark.parametrize("name", ["tiny", "tiny.py", str(TINY)])
def test_what_is_disabled_is_left_out_by_any_of_its_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DISABLE", f"sgd, {name}")
    registry = Registry.load([TINY])
    assert not {("model", "tiny"), ("optimizer", "sgd")} & registry.plugins.keys()
    assert ("optimizer", "adam") in registry.plugins
    with pytest.raises(PluginError) as caught:
        registry.get("model", "tiny")
    assert f"BENCH_DISABLE leaves out {', '.join(sorted(('sgd', name)))}" in caught.value.hint


def test_without_plugins_only_ours_and_named_files_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "beta", TINY.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BENCH_PLUGINS", "elsewhere.py")
    monkeypatch.setenv("BENCH_NO_PLUGINS", "1")
    assert discovery.loose_files(["mine.py"]) == ("mine.py",)
    registry = Registry.load()
    assert ("model", "alexnet") in registry.plugins
    assert ("model", "tiny") not in registry.plugins


OPTIONS = {"drop_path_rate": 0.1, "layers": [1, 2], "act": "gelu"}


@pytest.mark.parametrize("params", [{"options": OPTIONS}, {}])
def test_options_are_a_table_in_files_and_on_the_command_line(registry: Registry, params: dict[str, Any]) -> None:
    texts = {} if params else {"options": '{drop_path_rate = 0.1, layers = [1, 2], act = "gelu"}'}
    model = PluginDraft(name="timm", params=params, texts=texts)
    spec = registry.resolve(Draft(model=model, dataset=PluginDraft(name="digits")))
    assert spec.model.params["options"] == OPTIONS
    plugin = registry.create("model", spec.model)
    assert dict(plugin.options) == OPTIONS | {"layers": (1, 2)}  # type: ignore[attr-defined]
    assert hash(plugin) == hash(registry.create("model", spec.model))


def test_options_that_are_no_table_are_refused(registry: Registry) -> None:
    for options in (3, ["rate"]):
        model = PluginDraft(name="timm", params={"options": options})
        with pytest.raises(SpecError, match=r"model\.options"):
            registry.resolve(Draft(model=model, dataset=PluginDraft(name="digits")))
