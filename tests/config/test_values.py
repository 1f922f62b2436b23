from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

from support.journals import SPEC

from benchbench.config.spec import PluginSpec
from benchbench.config.values import is_match, value_text


def test_values_are_written_as_they_are_typed() -> None:
    values = [None, True, 1e-08, 3, "fast", [0.9, 0.999], ""]
    assert [value_text(value) for value in values] == ["none", "true", "1e-08", "3", "fast", "[0.9, 0.999]", '""']


def test_a_spec_matches_where_it_has_all_the_values() -> None:
    assert is_match(SPEC, {})
    assert is_match(SPEC, {"optimizer.lr": 0.001, "model": "alexnet", "model.num_classes": "none"})
    assert not is_match(SPEC, {"optimizer.lr": 0.001, "model": "resnet"})
    assert not is_match(SPEC, {"optimizer.eps": 1e-8})


def test_a_table_is_told_as_toml_has_it() -> None:
    value: Any = {"drop_path_rate": 0.1, "a b": ["x", True], "inner": {"deep": 1}}
    assert value_text(value) == '{drop_path_rate = 0.1, "a b" = ["x", true], inner = {deep = 1}}'
    assert tomllib.loads(f"value = {value_text(value)}") == {"value": value}
    assert value_text({}) == "{}"


def test_a_plugin_is_meant_by_its_name_with_its_package_too() -> None:
    composed = replace(SPEC, augmentation=PluginSpec("crop_flip+flip", 1, {}))
    assert is_match(composed, {"augmentation": "crop_flip+benchbench:flip", "model": "benchbench:alexnet"})
    assert not is_match(composed, {"augmentation": "benchbench:flip"})
    assert not is_match(replace(composed, augmentation=PluginSpec("flip", 1, {})), {"augmentation": "crop_flip+x:flip"})
