# ruff: noqa: E501 - messages stand here as they are shown
"""Every plugin in ``tests/plugins/broken/``, and what is said of it, word for word."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import Bench
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import BenchError
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.events import Failed
from benchbench.worker.main import resolve
from benchbench.worker.trial import run_trial

if TYPE_CHECKING:
    from benchbench.plugin.base import Plugin

BROKEN = PLUGINS / "broken"
HELPERS = (PLUGINS / "dots.py", PLUGINS / "tiny.py")

WHEN_LOADED = {
    "an_instance": "benchbench_models must return classes made from benchbench.Model, not Net()",
    "another_kind": "benchbench_models returned Rule, not a model but an optimizer",
    "any_parameter": "model 'net': its model_config must forbid unknown parameters",
    "bad_default": "model 'net': bad default: width must be greater than or equal to 1, not 0",
    "bad_name": "model 'my net': a name is made of letters, digits and _ . -, a letter or digit first",
    "changing_default": "model 'net': its defaults change when they are written as JSON and read back",
    "exits": "ends Python (exit code 3) instead of loading (exits.py, line 5)",
    "hook_raises": "benchbench_models: RuntimeError: no models today (hook_raises.py, line 8)",
    "import_error": "ModuleNotFoundError: No module named 'a_package_that_nobody_has' (import_error.py, line 3)",
    "impossible_type": "no parameter can be a torch.nn.modules.linear.Linear; use int, float, bool, str, Literal, Enum, or tuples of these (impossible_type.py, line 8)",
    "missing_name": "NameError: name 'SCALE' is not defined (missing_name.py, line 5)",
    "misspelt_hook": "no hook is named 'benchbench_model'; did you mean 'benchbench_models'?",
    "no_base_class": "benchbench_models must return classes made from benchbench.Model, not Net",
    "no_build": "model 'net': it has no build()",
    "no_default": "model 'net': parameter 'width' has no default",
    "no_hooks": "offers nothing: mark a function such as benchbench_models with @benchbench.hookimpl",
    "no_list": "benchbench_models must return a list of classes, not Net",
    "no_name": "model 'Net': it has no name; class Net(Model, name=\"...\")",
    "not_frozen": "model 'net': its model_config must stay frozen",
    "old_name": "AttributeError: module 'benchbench' has no attribute 'Network' (old_name.py, line 6)",
    "returns_none": "benchbench_models returns nothing; is a return statement missing? (returns_none.py, line 6)",
    "steps_never": "scheduler 'rates': its step_every must be 'epoch' or 'batch', not 'batches'",
    "taken_parameter": "model 'net': no parameter can be called copy: it has another meaning in every model",
    "text_revision": "model 'net': its revision must be an integer, not 'two'",
    "unmarked_hook": "benchbench_models is not marked with @benchbench.hookimpl",
    "validator_raises": "model 'net': bad default: ZeroDivisionError: integer division or modulo by zero (validator_raises.py, line 15)",
    "wrong_arguments": "benchbench_models: Argument(s) {'config'} are declared in the hookimpl but can not be found in the hookspec (there: none)",
}
"""What ``bench doctor`` says of those that cannot be loaded."""

IN_A_TRIAL = {
    "build_raises": (
        "model 'net' failed in build(): RuntimeError: Trying to create tensor with negative dimension -2: [-2, 64] (build_raises.py, line 10)",
        "--debug shows the whole traceback",
    ),
    "build_returns_a_class": (
        "model 'net': build() must return a torch.nn.Module, not the class Linear itself (build_returns_a_class.py, line 9)",
        "",
    ),
    "build_returns_none": (
        "model 'net': build() returns nothing; is a return statement missing? (build_returns_none.py, line 9)",
        "",
    ),
    "forward_raises": (
        "model 'net' failed in eval mode on a batch of shape [2, 1, 8, 8]: RuntimeError: mat1 and mat2 shapes cannot be multiplied (16x8 and 64x2) in layer 'layer', Linear(in_features=64, out_features=2, bias=True) (forward_raises.py, line 15)",
        "if the model takes no images of 8x8: --set dataset.image_size=SIZE; --debug shows the whole traceback",
    ),
    "forward_returns_a_tuple": (
        "model 'net' returns a tuple in training mode, not a tensor of logits (forward_returns_a_tuple.py, line 14)",
        "only logits are trained: build the network without auxiliary outputs, or return the first alone",
    ),
    "forward_returns_none": (
        "model 'net': forward() returns nothing; is a return statement missing? (forward_returns_none.py, line 14)",
        "",
    ),
    "load_raises": (
        "dataset 'images' failed in load(): FileNotFoundError: [Errno 2] No such file or directory: 'nothing/images.bin' (load_raises.py, line 14)",
        "--debug shows the whole traceback",
    ),
    "load_returns_floats": (
        "dataset 'images' is wrong: train images must be a uint8 tensor [N, C, H, W], not float32 [4, 1, 8, 8]; train has labels 1..2, but 2 class names, for 0..1; val images must be a uint8 tensor [N, C, H, W], not float32 [4, 1, 8, 8]; val has labels 1..2, but 2 class names, for 0..1; test images must be a uint8 tensor [N, C, H, W], not float32 [4, 1, 8, 8]; test has labels 1..2, but 2 class names, for 0..1",
        "for the plugin's author: bench plugin check",
    ),
    "load_returns_none": (
        "dataset 'images': load() returns nothing; is a return statement missing? (load_returns_none.py, line 13)",
        "",
    ),
    "narrow": (
        "model 'net': its output for 2 images of 2 classes has the shape [2, 1]; it must be [2, 2], or wider",
        "",
    ),
    "optimizer_returns_none": (
        "optimizer 'rule': build() returns nothing; is a return statement missing? (optimizer_returns_none.py, line 10)",
        "",
    ),
    "optimizer_steps_wrong": (
        "RuntimeError: no step today (optimizer_steps_wrong.py, line 11)",
        "--debug shows the whole traceback",
    ),
    "scheduler_takes_too_little": (
        "scheduler 'rates' failed in build(): TypeError: Rates.build() got an unexpected keyword argument 'num_epochs' (scheduler_takes_too_little.py, line 10)",
        "--debug shows the whole traceback",
    ),
}
"""What a trial says that uses one of the others: the message, then the hint."""


def place_free(text: str) -> str:
    """Return the text with the folder of the plugins cut from every path."""
    folders = {str(BROKEN), os.path.relpath(BROKEN), str(PLUGINS), os.path.relpath(PLUGINS)}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(f"{folder}/", "")
    return re.sub(r"\(\S*/(\w+\.py, line \d+)\)", r"(\1)", text)


def test_every_broken_plugin_has_its_message() -> None:
    names = {path.stem for path in BROKEN.glob("*.py")}
    assert names == WHEN_LOADED.keys() | IN_A_TRIAL.keys()
    assert len(names) >= 20


@pytest.mark.parametrize("name", WHEN_LOADED)
def test_a_plugin_that_cannot_be_loaded_is_reported_with_its_reason(name: str) -> None:
    file = BROKEN / f"{name}.py"
    registry = Registry.load([file], only={str(file)})
    (broken,) = registry.broken
    assert place_free(broken.reason) == WHEN_LOADED[name]
    assert registry.plugins == {}


def told(name: str, folder: Path) -> tuple[str, str]:
    """Return message and hint of a trial with a plugin, and with small ones of the other kinds."""
    file = BROKEN / f"{name}.py"
    shipped = (f"benchbench:{entry}" for entry in ("flip", "cross_entropy", "sgd", "constant"))
    origins = {str(file), *map(str, HELPERS), *shipped}
    registry = Registry.load([file, *HELPERS], only=origins)
    (plugin,) = [cls for key, cls in registry.plugins.items() if registry.origins[key] == str(file)]
    try:
        return last_words(plugin, registry, folder)
    except BenchError as error:
        return place_free(error.message), error.hint


def last_words(plugin: type[Plugin], registry: Registry, folder: Path) -> tuple[str, str]:
    table = {"model": "tiny", "dataset": "dots", "epochs": 1, "batch_size": 8} | {plugin.kind: plugin.name}
    roots = dict.fromkeys(("dots", "images"), str(folder / "nothing"))
    (resolved,) = resolve([Draft.from_toml(table)], registry, data_roots=roots)
    training = TrainingOptions(device="cpu", artifacts="none")
    job = TrialJob(resolved.spec, "attempt-1", roots["dots"], str(folder / "attempt"), training)
    counter = SharedCounter(folder / "counter")
    *_, end = run_trial(job, registry, counter=counter)
    counter.close()
    assert isinstance(end, Failed)
    return place_free(end.error.message), end.error.hint


@pytest.mark.parametrize("name", IN_A_TRIAL)
def test_a_plugin_that_fails_in_a_trial_is_named_with_file_and_line(name: str, tmp_path: Path) -> None:
    message, hint = told(name, tmp_path)
    # torch names the operation since 2.15.
    assert (message.replace(f"{tmp_path}/", "").replace("addmm: ", ""), hint) == IN_A_TRIAL[name]


@pytest.mark.slow
def test_a_trial_works_beside_all_of_them(tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, tmp_path / "cache")
    plugins = ("--plugins", BROKEN, "--plugins", PLUGINS / "_crashes.py")
    small = ("--set", "dataset.image_size=64", "--set", "dataset.num_train=64", "--artifacts", "none")
    done = bench("run", "alexnet", "synthetic", *plugins, *small, "-e", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    listed = json.loads(bench("list", *plugins, "--json").stdout)
    assert {Path(item["origin"]).stem for item in listed["broken"]} >= WHEN_LOADED.keys() | {"_crashes"}
