"""The variants that are timed: from lists and from grid files, with names and a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.paths import PLUGINS

from benchbench.driver.settings import setting_texts
from benchbench.driver.variants import VariantOptions, name_variants, read_accelerate, read_variants
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from benchbench.config.spec import Spec

FILE = """
model = "tiny"
dataset = "digits"
plugins = ["{plugins}/tiny.py"]
batch_size = 100
seeds = [0, 1]
optimizer = {{ grid = ["sgd", "adam"] }}
{more}
"""


def test_settings_of_python_are_texts_as_one_would_type_them() -> None:
    settings = {
        "model.options": {"drop_path_rate": 0.1},
        "model.layers": (np.int64(2), 2),
        "loss.weight": None,
        "a.b": True,
    }
    assert setting_texts(settings | {"optimizer.lr": np.float32(0.5), "dataset.root": Path("photos")}) == {
        "model.options": "{drop_path_rate = 0.1}",
        "model.layers": "[2, 2]",
        "loss.weight": "none",
        "a.b": "true",
        "optimizer.lr": "0.5",
        "dataset.root": "photos",
    }


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS / "tiny.py", PLUGINS / "unruly.py"])


def variants(
    registry: Registry, asked: VariantOptions, *, by: tuple[str, ...] = (), baseline: str | None = None
) -> tuple[tuple[Spec, ...], tuple[str, ...], str]:
    grid = read_variants(asked)
    specs = [registry.resolve(draft) for draft in grid.expand()]
    named = name_variants(specs, grid, accelerate=read_accelerate(asked), by=by, baseline=baseline)
    return named.specs, named.names, named.baseline


def words(target: str = "tiny", dataset: str | None = "digits", **more: Any) -> VariantOptions:
    return VariantOptions(target=target, dataset=dataset, **more)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (words(optimizer="sgd,adam"), ("sgd", "adam")),
        (words(scheduler="constant,step"), ("constant", "step")),
        (words(augmentation="none,flip,crop_flip+mixup"), ("none", "flip", "crop_flip+mixup")),
        (words(loss=["cross_entropy", "bce"]), ("cross_entropy", "bce")),
        (words(batch_size="12, 32,128"), ("batch_size=12", "batch_size=32", "batch_size=128")),
        (words(precision="fp32,bf16"), ("fp32", "bf16")),
        (words("tiny,unruly"), ("tiny", "unruly")),
        (words(accelerate="off,auto"), ("accelerate=off", "accelerate=auto")),
    ],
)
def test_lists_with_commas_make_variants_that_are_called_by_what_differs(
    asked: VariantOptions, names: tuple[str, ...], registry: Registry
) -> None:
    assert variants(registry, asked)[1:] == (names, names[0])


def test_a_file_gives_each_configuration_once_and_its_baseline_and_options_override_it(
    registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "grid.toml"
    more = '[compare]\nby = ["optimizer"]\nbaseline = { optimizer = "adam" }'
    path.write_text(FILE.format(plugins=PLUGINS, more=more), encoding="utf-8")
    specs, names, baseline = variants(registry, words(str(path), None))
    assert (names, baseline) == (("sgd", "adam"), "adam")
    assert {spec.seed for spec in specs} == {0}
    specs, names, baseline = variants(registry, words(str(path), None, precision="bf16"), baseline="optimizer=sgd")
    assert ({spec.precision for spec in specs}, baseline) == ({"bf16"}, "sgd")
    specs, *_ = variants(registry, words(str(path), None, augmentation="none", loss="bce", scheduler="step"))
    assert {(spec.augmentation.name, spec.loss.name, spec.scheduler.name) for spec in specs} == {
        ("none", "bce", "step")
    }


@pytest.mark.parametrize(
    ("asked", "more", "message"),
    [
        (words(optimizer="sgd,adam", batch_size="12,32"), {}, "the variants differ in optimizer, batch_size"),
        (words(optimizer="sgd,adam", batch_size="12,32"), {"by": ("optimizer",)}, "the variants differ in"),
        (words(optimizer="sgd,sgd"), {}, "trials 1 and 2 of 2 are the same"),
        (words(optimizer="sgd,adam"), {"baseline": "adm"}, "--baseline 'adm' is none of the variants"),
        (words(optimizer="sgd,adam"), {"by": ("epochs",)}, "cannot compare by 'epochs'"),
        (words(optimizer="sgd,"), {}, "has an empty value"),
        (words(batch_size="12,many"), {}, "not a whole number"),
        (words(), {}, "only one variant"),
        (words("missing.toml", None), {}, "no such file"),
        (words("tiny", None), {}, "no dataset given"),
        (words("some.toml", "digits"), {}, "some.toml already names a dataset"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_way_out(
    asked: VariantOptions, more: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        variants(registry, asked, **more)
    assert refused.value.hint or "no such file" in message


def test_several_things_that_differ_are_compared_where_all_are_named(registry: Registry) -> None:
    asked = words(optimizer="sgd,adam", batch_size="12,32")
    _, names, _ = variants(registry, asked, by=("optimizer", "batch_size"))
    assert names[0] == "optimizer=sgd batch_size=12"
    assert len(names) == 4
