"""Tables as parameters: what a library gets, and what a spec keeps of them."""

from __future__ import annotations

import tomllib

from benchbench_plugins.timm_optimizers import TimmOptimizer

import benchbench as bb
from benchbench.config.spec import Draft
from benchbench.plugin import parameters
from benchbench.plugin.registry import Registry


def test_the_text_none_in_options_is_none_for_the_library() -> None:
    text = '{max_grad_norm = "none", betas = [0.8, "none"], more = {name = "none"}}'
    options = parameters.read(TimmOptimizer, {}, {"options": text}).options
    assert options["max_grad_norm"] is None
    assert options["betas"] == (0.8, None)
    assert options["more"]["name"] is None
    assert bb.Options({"all": options})["all"] == options
    assert bb.Options(options) == bb.Options({**options}) == options


def test_options_with_none_survive_the_toml_and_the_json_of_a_spec() -> None:
    registry = Registry.load()
    optimizer = {"name": "timm", "options": {"max_grad_norm": "none"}}
    spec = registry.resolve(Draft.from_toml({"model": "resnet", "dataset": "digits", "optimizer": optimizer}))
    assert spec.optimizer.params["options"] == {"max_grad_norm": "none"}
    assert registry.resolve(Draft.from_toml(tomllib.loads(spec.to_toml()))).id == spec.id
    made = registry.create("optimizer", spec.optimizer)
    assert isinstance(made, TimmOptimizer)
    assert made.options["max_grad_norm"] is None
