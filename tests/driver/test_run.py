"""What ``bb.run`` makes of a spec file and of the plugins that are named besides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.paths import PLUGINS

import benchbench as bb
from benchbench.config.spec import SCALARS, Draft, PluginDraft, scalars_of
from benchbench.driver.run import _name_plugin

if TYPE_CHECKING:
    from benchbench.config.kinds import Kind
    from benchbench.driver.trials import TrialRequest

FLIP_AND_MIXUP = [{"name": "flip", "p": 0.2}, {"name": "mixup", "alpha": 0.3}]


def named(kind: Kind, before: Any, name: str) -> PluginDraft:
    """Return the plugin that is trained if a spec file has one and a call names one."""
    table = {"model": "alexnet", "dataset": "digits"} | {kind: before}
    _name_plugin(table, kind, name, [str(PLUGINS / "tiny.py")])
    return Draft.from_toml(table).plugin(kind)


@pytest.mark.parametrize("before", ["tiny.py:tiny", "tiny"])
@pytest.mark.parametrize("name", ["tiny.py:tiny", "tiny"])
def test_a_plugin_that_is_named_again_keeps_its_parameters(before: str, name: str) -> None:
    plugin = named("model", {"name": before, "width": 64}, name)
    assert plugin.params == {"width": 64}
    assert plugin.name == before


@pytest.mark.parametrize("name", ["alexnet", "other.py:tiny", "tiny.py:tin"])
def test_the_parameters_of_another_plugin_go(name: str) -> None:
    assert named("model", {"name": "tiny.py:tiny", "width": 64}, name) == PluginDraft(name=name)


@pytest.mark.parametrize(("before", "num_params"), [("benchbench:alexnet", 1), ("my-nets:alexnet", 0)])
def test_a_short_name_is_only_that_of_the_plugin_that_has_it(before: str, num_params: int) -> None:
    assert len(named("model", {"name": before, "dropout": 0.1}, "alexnet").params) == num_params


def test_a_plugin_that_a_file_names_without_parameters_stays_that_of_the_file() -> None:
    assert named("model", "tiny.py:tiny", "tiny").name == "tiny.py:tiny"


@pytest.mark.parametrize(("name", "num_params"), [("flip+mixup", 2), ("mixup", 0)])
def test_several_augmentations_keep_their_parameters_if_all_are_named_again(name: str, num_params: int) -> None:
    plugin = named("augmentation", FLIP_AND_MIXUP, name)
    assert (plugin.name, len(plugin.params)) == (name, num_params)


@pytest.mark.parametrize("result", [SimpleNamespace(trials=[SimpleNamespace(record="its record")]), None])
def test_ctrl_c_after_training_is_an_interrupt_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, result: SimpleNamespace | None
) -> None:
    def interrupted(*_: object) -> None:
        raise bb.Interrupted(result)

    monkeypatch.setattr("benchbench.driver.run.run_trials", interrupted)
    with pytest.raises(bb.Interrupted) as caught:
        bb.run("alexnet", "digits")
    assert caught.value.result == (result and "its record")


def test_every_setting_of_a_trial_is_an_argument_and_is_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrialRequest] = []

    def interrupted(request: TrialRequest, *_: object) -> None:
        asked.append(request)
        raise bb.Interrupted

    monkeypatch.setattr("benchbench.driver.run.run_trials", interrupted)
    settings: dict[str, Any] = {
        "epochs": 7,
        "batch_size": 9,
        "seed": 5,
        "precision": "bf16",
        "ema_decay": 0.5,
        "select": "best_val",
    }
    assert settings.keys() == set(SCALARS)
    with pytest.raises(bb.Interrupted):
        bb.run("alexnet", "digits", **settings)
    assert scalars_of(asked[0].drafts[0]) == settings
