"""Parameters of plugins: from drafts to specs and to live plugins, and what is said of wrong ones."""

from __future__ import annotations

import pytest
from support.paths import PLUGINS

from benchbench.config.spec import Draft, PluginDraft, Spec
from benchbench.errors import BenchError, PluginError, SpecError
from benchbench.plugin.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS, PLUGINS / "broken"])


def draft(**plugins: PluginDraft) -> Draft:
    given = {"dataset": PluginDraft(name="digits"), "model": PluginDraft(name="tiny")} | plugins
    return Draft(**given)


def optimizer_params(registry: Registry, name: str, params: dict | None = None, **texts: str) -> dict:
    asked = PluginDraft(name=name, params=params or {}, texts=texts)
    return registry.resolve(draft(optimizer=asked)).optimizer.params


def complaint(registry: Registry, name: str, params: dict | None = None, **texts: str) -> BenchError:
    with pytest.raises(BenchError) as caught:
        optimizer_params(registry, name, params, **texts)
    return caught.value


def test_resolving_writes_out_every_default(registry: Registry) -> None:
    spec = registry.resolve(draft())
    assert spec.flat()["optimizer.momentum"] == 0.9
    assert spec.flat()["scheduler"] == "constant"
    assert spec.flat()["dataset.image_size"] == 64


def test_a_default_written_out_gives_the_same_spec_as_one_left_out(registry: Registry) -> None:
    assert optimizer_params(registry, "adam", {"betas": [0.9, 0.999]}) == optimizer_params(registry, "adam")


def test_an_integer_for_a_float_gives_the_same_spec_as_the_float(registry: Registry) -> None:
    assert repr(optimizer_params(registry, "sgd", {"lr": 1})["lr"]) == "1.0"


def test_a_spec_survives_its_own_toml(registry: Registry) -> None:
    spec = registry.resolve(draft(model=PluginDraft(name="alexnet"), optimizer=PluginDraft(name="particular")))
    assert resolve_toml(registry, spec) == spec


def resolve_toml(registry: Registry, spec: Spec) -> Spec:
    import tomllib

    return registry.resolve(Draft.from_toml(tomllib.loads(spec.to_toml())))


def test_create_gives_the_plugin_with_the_parameters_of_the_spec(registry: Registry) -> None:
    spec = registry.resolve(draft(optimizer=PluginDraft(name="adam", params={"betas": [0.5, 0.6]})))
    assert registry.create("optimizer", spec.optimizer).betas == (0.5, 0.6)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"low": "0.2"}, {"low": 0.2}),
        ({"low": "1e-3"}, {"low": 0.001}),
        ({"depth": "34"}, {"depth": 34}),
        ({"mode": "fast"}, {"mode": "fast"}),
        ({"milestones": "[3, 5]"}, {"milestones": [3, 5]}),
        ({"limit": "7"}, {"limit": 7}),
        ({"limit": "none"}, {"limit": None}),
        ({"size": "auto"}, {"size": "auto"}),
        ({"size": "12"}, {"size": 12}),
        ({"label": "12"}, {"label": "12"}),
        ({"label": "none"}, {"label": "none"}),
        ({"label": "[0-9]*.png"}, {"label": "[0-9]*.png"}),
        ({"label": ""}, {"label": ""}),
        ({"label": '"12"'}, {"label": '"12"'}),
    ],
)
def test_texts_from_the_command_line_become_values_of_the_declared_type(
    registry: Registry, texts: dict[str, str], expected: dict
) -> None:
    params = optimizer_params(registry, "particular", None, **texts)
    assert {key: params[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("param", "text", "toml"),
    [
        ("weights", "false", False),
        ("weights", "true", True),
        ("weights", "3", "3"),
        ("weights", "a.pt", "a.pt"),
        ("weights", "[0-9].pt", "[0-9].pt"),
        ("weights", '"false"', "false"),
        ("width", "3", 3),
        ("width", "0.5", 0.5),
        ("width", "true", "true"),
        ("width", "wide", "wide"),
        ("width", "none", None),
    ],
)
def test_a_text_or_a_number_is_on_the_command_line_what_it_is_in_a_toml_file(
    registry: Registry, param: str, text: str, toml: object
) -> None:
    typed = optimizer_params(registry, "particular", None, **{param: text})
    written = optimizer_params(registry, "particular", {param: "none" if toml is None else toml})
    assert repr(typed[param]) == repr(written[param]) == repr(toml)


def test_a_text_overrides_a_value_from_toml_even_a_wrong_one(registry: Registry) -> None:
    assert optimizer_params(registry, "sgd", {"lr": -1}, lr="0.5")["lr"] == 0.5


def test_a_rule_between_parameters_is_applied_after_overriding(registry: Registry) -> None:
    params = optimizer_params(registry, "particular", {"low": 0.95}, high="0.99")
    assert (params["low"], params["high"]) == (0.95, 0.99)


def test_an_error_that_a_plugin_raises_itself_passes_through(registry: Registry) -> None:
    error = complaint(registry, "particular", {"low": 0.95})
    assert isinstance(error, SpecError)
    assert (error.message, error.hint) == ("low 0.95 is not below high 0.9", "swap them")


def test_a_rule_of_the_plugin_is_named_with_its_parameter(registry: Registry) -> None:
    error = complaint(registry, "particular", {"even": 3})
    assert error.message == "optimizer.even: only even numbers will do (got 3)"


def test_a_plugin_that_fails_while_checking_is_blamed_by_name(registry: Registry) -> None:
    error = complaint(registry, "particular", {"even": 13})
    assert isinstance(error, PluginError)
    assert "optimizer 'particular' failed to check its parameters: ZeroDivisionError: unlucky" in error.message


def test_an_unknown_parameter_suggests_the_closest_one(registry: Registry) -> None:
    error = complaint(registry, "sgd", {"lrr": 1.0})
    assert (error.message, error.hint) == ("optimizer 'sgd' has no parameter 'lrr'", "did you mean 'lr'?")


def test_an_unknown_parameter_unlike_any_other_lists_them_all(registry: Registry) -> None:
    error = complaint(registry, "sgd", None, zzz="1")
    assert error.hint == "its parameters: lr, momentum, weight_decay, nesterov, clip_norm"


def test_a_plugin_without_parameters_says_so(registry: Registry) -> None:
    draft = Draft.from_toml({"model": {"name": "dropout", "lr": 1.0}, "dataset": "digits"})
    with pytest.raises(SpecError) as caught:
        registry.resolve(draft)
    assert caught.value.hint == "it has no parameters"


@pytest.mark.parametrize(
    ("name", "params", "texts", "message"),
    [
        ("sgd", {"lr": -1}, {}, "optimizer.lr must be greater than 0, not -1"),
        ("sgd", {}, {"lr": "-1"}, "optimizer.lr must be greater than 0, not -1"),
        ("sgd", {"lr": "0.1"}, {}, 'optimizer.lr must be a valid number, not "0.1"'),
        ("sgd", {"lr": True}, {}, "optimizer.lr must be a valid number, not true"),
        ("sgd", {"nesterov": 1}, {}, "optimizer.nesterov must be true or false, not 1"),
        ("sgd", {}, {"lr": "fast"}, "optimizer.lr must be a valid number, not fast"),
        ("sgd", {"momentum": 1.0}, {}, "optimizer.momentum must be less than 1, not 1.0"),
        ("sgd", {"lr": 0}, {"momentum": "0.5"}, "optimizer.lr must be greater than 0, not 0"),
        ("adam", {"betas": [0.5, 2]}, {}, "optimizer.betas[1] must be less than 1, not 2"),
        ("adam", {}, {"betas": "[0.5, 2]"}, "optimizer.betas[1] must be less than 1, not 2"),
        ("adam", {}, {"betas": "[0.5"}, "optimizer.betas: cannot read '[0.5'"),
        ("particular", {"depth": 20}, {}, "optimizer.depth must be 18 or 34, not 20"),
        ("particular", {}, {"depth": "20"}, "optimizer.depth must be 18 or 34, not 20"),
        ("particular", {}, {"mode": "rash"}, "optimizer.mode must be 'fast' or 'safe', not rash"),
        ("particular", {"limit": "7"}, {}, 'optimizer.limit must be a valid integer, not "7"'),
    ],
)
def test_a_wrong_value_is_named_with_its_limit(
    registry: Registry, name: str, params: dict, texts: dict[str, str], message: str
) -> None:
    error = complaint(registry, name, params, **texts)
    assert isinstance(error, SpecError)
    assert error.message == message


def test_several_wrong_values_are_all_named(registry: Registry) -> None:
    error = complaint(registry, "sgd", {"lr": -1, "momentum": 2})
    assert error.message == (
        "optimizer.lr must be greater than 0, not -1; optimizer.momentum must be less than 1, not 2"
    )
    assert error.hint == "limits and defaults: bench show optimizer sgd"
