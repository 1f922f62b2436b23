"""The shipped experiments: each is read, expanded and resolved, the recipes are planned, and none is trained."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import pytest
from benchbench_plugins.tinyimage10 import CLASSES
from support.cifar_files import cifar_members
from support.commands import Bench
from support.image_archives import jpeg, write_folder
from support.paths import REPOSITORY

from benchbench.config.differences import describe_spec, varying
from benchbench.config.grid_checks import check_grid
from benchbench.config.grid_file import GridFile, load
from benchbench.config.values import is_match
from benchbench.driver.variants import VariantOptions, name_variants, read_variants
from benchbench.plugin.registry import Registry
from benchbench.records.metrics import class_slugs

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.spec import Spec

FOLDER = REPOSITORY / "experiments"
PATHS = {path.stem: path for folder in (FOLDER, FOLDER / "paper", FOLDER / "recipes") for path in folder.glob("*.toml")}
NUM_TRIALS = {
    "as-described": 12,
    "batch-size": 6,
    "grid": 6,
    "cifar10-resnet": 6,
    "classes": 6,
    "finetune-folder": 12,
    "learning-rate": 10,
    "optimizers": 12,
    "precision": 6,
    "resnet-vs-alexnet": 6,
    "table1": 12,
    "table1-as-run": 12,
    "time-batch-size": 3,
    "time-optimizers": 2,
}
METRICS = {
    "final_train_accuracy",
    "final_val_accuracy",
    "overfit_epoch",
    "test_accuracy",
    "train_seconds",
    *(f"test_accuracy/{slug}" for slug in class_slugs(tuple(CLASSES.values())).values()),
}
every_experiment = pytest.mark.parametrize("name", NUM_TRIALS)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def experiment(name: str) -> GridFile:
    return load(PATHS[name])


def resolve(registry: Registry, grid: GridFile) -> list[Spec]:
    return [registry.resolve(draft) for draft in grid.expand()]


def test_every_file_is_looked_at_here() -> None:
    assert set(PATHS) == set(NUM_TRIALS)


def test_the_trials_have_the_identities_that_results_are_kept_under(registry: Registry) -> None:
    """Another default, parameter or revision makes other trials of all that were ever run: it is never an accident."""
    ids = {name: [spec.id for spec in resolve(registry, experiment(name))] for name in sorted(PATHS)}
    ids.pop("finetune-folder")  # its model takes the digest of a file of weights
    digest = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
    assert digest.startswith("7c2ef6fd2a44d6e6")


@every_experiment
def test_an_experiment_states_its_question_and_its_trials_resolve(name: str, registry: Registry) -> None:
    grid = experiment(name)
    assert grid.name == name
    assert grid.headline.endswith("?")
    specs = resolve(registry, grid)
    assert len(specs) == grid.num_trials == NUM_TRIALS[name]
    check_grid(grid, specs)
    keys = varying(specs)
    assert len({describe_spec(spec, keys) for spec in specs}) == len(specs)
    assert set(grid.question.by) <= {*keys, *grid.axes}


@every_experiment
def test_metrics_of_an_experiment_are_logged_and_expected_values_have_a_source(name: str) -> None:
    grid = experiment(name)
    assert {*grid.question.metrics, *(row.metric for row in grid.expected)} <= METRICS
    assert set(grid.question.targets) <= {"val_accuracy"}
    assert all(row.source and row.where for row in grid.expected)


@pytest.mark.parametrize(("name", "num_trials_a_row"), [("table1", 1), ("table1-as-run", 2)])
def test_every_row_of_table_1_is_of_one_configuration(name: str, num_trials_a_row: int, registry: Registry) -> None:
    grid = experiment(name)
    specs = resolve(registry, grid)
    rows = [row for row in grid.expected if row.metric == "test_accuracy"]
    assert len(rows) == 12
    for row in rows:
        assert sum(is_match(spec, row.where) for spec in specs) == num_trials_a_row
    covered = {spec.id for spec in specs if any(is_match(spec, row.where) for row in rows)}
    assert len(covered) == len(specs)


def test_table_1_as_run_has_the_wide_head_a_constant_rate_and_no_weight_decay(registry: Registry) -> None:
    for spec in resolve(registry, experiment("table1-as-run")):
        assert spec.model.params["num_classes"] == 200
        assert spec.scheduler.name == "constant"
        assert spec.optimizer.params["weight_decay"] == 0.0
    for spec in resolve(registry, experiment("table1")):
        assert spec.model.params["num_classes"] is None
        assert (spec.scheduler.name, spec.scheduler.params["step_size"]) == ("step", 30)
    for spec in resolve(registry, experiment("table1")) + resolve(registry, experiment("table1-as-run")):
        assert (spec.epochs, spec.batch_size, spec.dataset.name) == (35, 12, "tinyimage10")


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("time-optimizers", ("sgd", "adam")),
        ("time-batch-size", ("batch_size=12", "batch_size=32", "batch_size=128")),
    ],
)
def test_a_timing_experiment_names_its_variants_and_compares_with_the_paper_s_own(
    name: str, names: tuple[str, ...], registry: Registry
) -> None:
    grid = read_variants(VariantOptions(target=str(PATHS[name])))
    named = name_variants(resolve(registry, grid), grid)
    assert named.names == names
    assert named.baseline == names[0]


def test_accuracies_by_class_are_those_of_all_ten_classes() -> None:
    rows = [row for row in experiment("table1-as-run").expected if row.metric.startswith("test_accuracy/")]
    assert len({row.metric for row in rows}) == 10
    assert all(0 <= row.value <= 1 for row in rows)


def test_optimizers_has_sgd_and_two_rates_of_adam_each_with_and_without_weight_decay(registry: Registry) -> None:
    specs = [spec for spec in resolve(registry, experiment("optimizers")) if spec.seed == 0]
    found = [
        (one.optimizer.name, one.optimizer.params["lr"], one.optimizer.params["weight_decay"] > 0) for one in specs
    ]
    assert found == [
        (name, rate, decays)
        for name, rate in (("sgd", 0.001), ("adam", 0.001), ("adam", 0.0001))
        for decays in (False, True)
    ]
    assert {spec.epochs for spec in specs} == {20}


@pytest.mark.slow
def test_the_recipe_for_cifar_10_is_ready_to_run(tmp_path: Path, cache: Path) -> None:
    images = write_folder(tmp_path / "cifar-10-batches-bin", cifar_members())
    assert_planned("cifar10-resnet", f"cifar10={images}", Bench(tmp_path, cache))


@pytest.mark.slow
def test_the_recipe_for_a_folder_is_ready_to_run(tmp_path: Path, cache: Path) -> None:
    names = [f"{kind}/{number}.jpg" for kind in ("cat", "dog") for number in range(20)]
    images = write_folder(tmp_path / "photos", {name: jpeg((row, 0, 0)) for row, name in enumerate(names)})
    assert_planned("finetune-folder", images, Bench(tmp_path, cache))


def assert_planned(name: str, images: object, bench: Bench) -> None:
    """Plan the trials of a recipe, with a few images of its kind."""
    done = bench("grid", PATHS[name], "--dry-run", "--data", images)
    assert done.returncode == 0, done.stdout + done.stderr
    number = NUM_TRIALS[name]
    assert done.stdout.startswith(f"{number} trials: 0 done, 0 to resume, {number} to run\n")


def test_the_recipe_for_cifar_10_takes_the_steps_of_the_paper(registry: Registry) -> None:
    (spec, *_) = resolve(registry, experiment("cifar10-resnet"))
    steps_per_epoch = math.ceil(45_000 / spec.batch_size)
    numbers = [spec.epochs, *spec.scheduler.params["milestones"]]  # type: ignore[misc, list-item]
    assert [round(number * steps_per_epoch, -3) for number in numbers] == [64_000, 32_000, 48_000]  # type: ignore[operator]
    rows = {row.where["model.layers"]: row.value for row in experiment("cifar10-resnet").expected}
    assert rows == pytest.approx({20: 1 - 0.0875, 56: 1 - 0.0697})


def test_the_recipe_for_a_folder_fits_a_network_of_timm_that_has_weights(registry: Registry) -> None:
    import timm

    specs = resolve(registry, experiment("finetune-folder"))
    assert {spec.model.params["trainable"] for spec in specs} == {"all", "head"}
    assert all(timm.get_pretrained_cfg(str(spec.model.params["architecture"])).has_weights for spec in specs)
