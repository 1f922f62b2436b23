from __future__ import annotations

from typing import Any

from benchbench.config.differences import describe_spec, varying
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
