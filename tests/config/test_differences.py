from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

from benchbench.config.differences import describe_spec, is_match, value_text, varying
from benchbench.config.spec import PluginSpec, Spec


def spec(*, seed: int = 0, optimizer: str = "sgd", **params: Any) -> Spec:
    """Return a spec whose optimizer has these parameters."""
    return Spec(
        dataset=PluginSpec("digits", 1, {"image_size": 64}),
        augmentation=PluginSpec("none", 1, {}),
        model=PluginSpec("alexnet", 1, {"dropout": 0.5, "num_classes": None}),
        loss=PluginSpec("cross_entropy", 1, {}),
        optimizer=PluginSpec(optimizer, 1, params),
        scheduler=PluginSpec("constant", 1, {}),
        epochs=1,
        batch_size=32,
        seed=seed,
        precision="fp32",
        ema_decay=None,
        select="last",
    )


def test_keys_that_differ_are_varying_in_the_order_of_a_spec() -> None:
    specs = [spec(seed=seed, lr=lr, momentum=0.9) for lr in (0.1, 0.2) for seed in (0, 1)]
    assert varying(specs) == ("optimizer.lr", "seed")
    assert [describe_spec(one, varying(specs)) for one in specs] == [
        "optimizer.lr=0.1 seed=0",
        "optimizer.lr=0.1 seed=1",
        "optimizer.lr=0.2 seed=0",
        "optimizer.lr=0.2 seed=1",
    ]


def test_one_trial_or_none_varies_in_nothing() -> None:
    assert varying([]) == varying([spec(lr=0.1)]) == varying([spec(lr=0.1), spec(lr=0.1)]) == ()
    assert describe_spec(spec(lr=0.1), ()) == ""


def test_parameters_that_only_one_plugin_has_are_told_by_its_name() -> None:
    specs = [spec(lr=0.1, momentum=0.9), spec(optimizer="adam", lr=0.1, eps=1e-8)]
    assert varying(specs) == ("optimizer",)
    assert [describe_spec(one, varying(specs)) for one in specs] == ["optimizer=sgd", "optimizer=adam"]


def test_a_parameter_varies_between_trials_of_one_plugin() -> None:
    specs = [spec(lr=0.1), spec(optimizer="adam", lr=0.1, eps=1e-8), spec(optimizer="adam", lr=0.1, eps=1e-4)]
    assert varying(specs) == ("optimizer", "optimizer.eps")
    assert [describe_spec(one, varying(specs)) for one in specs] == [
        "optimizer=sgd",
        "optimizer=adam optimizer.eps=1e-08",
        "optimizer=adam optimizer.eps=0.0001",
    ]


def test_values_are_written_as_they_are_typed() -> None:
    values = [None, True, 1e-08, 3, "fast", [0.9, 0.999], ""]
    assert [value_text(value) for value in values] == ["none", "true", "1e-08", "3", "fast", "[0.9, 0.999]", '""']


def test_a_spec_matches_where_it_has_all_the_values() -> None:
    one = spec(lr=0.1)
    assert is_match(one, {})
    assert is_match(one, {"optimizer.lr": 0.1, "model": "alexnet", "model.num_classes": "none"})
    assert not is_match(one, {"optimizer.lr": 0.1, "model": "resnet"})
    assert not is_match(one, {"optimizer.momentum": 0.9})


def test_a_table_is_told_as_toml_has_it() -> None:
    value: Any = {"drop_path_rate": 0.1, "a b": ["x", True], "inner": {"deep": 1}}
    assert value_text(value) == '{drop_path_rate = 0.1, "a b" = ["x", true], inner = {deep = 1}}'
    assert tomllib.loads(f"value = {value_text(value)}") == {"value": value}
    assert value_text({}) == "{}"


def test_a_plugin_is_meant_by_its_name_with_its_package_too() -> None:
    composed = replace(spec(), augmentation=PluginSpec("crop_flip+flip", 1, {}))
    assert is_match(composed, {"augmentation": "crop_flip+benchbench:flip", "model": "benchbench:alexnet"})
    assert not is_match(composed, {"augmentation": "benchbench:flip"})
    assert not is_match(replace(composed, augmentation=PluginSpec("flip", 1, {})), {"augmentation": "crop_flip+x:flip"})
