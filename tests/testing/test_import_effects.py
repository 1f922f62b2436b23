"""What is said of a module that does more than define plugins, and of a plugin that is rebuilt otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchbench.plugin.discovery import LooseFile
from benchbench.plugin.registry import Registry
from benchbench.protocol.plugin_check_messages import CheckedImages
from benchbench.testing.checks_by_kind import fingerprint
from benchbench.testing.import_effects import CHECKS, import_outcomes, watch
from benchbench.testing.rebuilding import NAME, Built, rebuilt
from benchbench.worker.seeds import random_states_kept

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
import benchbench as bb
from torch import nn

class Net(bb.Model, name="net"):
    def build(self, data):
        return nn.Linear(2, 2)

@bb.hookimpl
def benchbench_models():
    return [Net]
"""

RESTLESS = """
import os
import benchbench as bb
import torch

class Images(bb.Dataset, name="images"):
    image_size: int = bb.param(8, "pixels")

    def load(self, root):
        generator = torch.Generator().manual_seed(os.getpid())
        images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=generator)
        labels = torch.tensor([0, 1])
        parts = [bb.Split(images[start : start + 2], labels) for start in (0, 2, 4)]
        return bb.Splits(*parts, ("a", "b"))

@bb.hookimpl
def benchbench_datasets():
    return [Images]
"""


def problems(folder: Path, text: str) -> dict[str, str]:
    path = folder / "mine.py"
    path.write_text(text + PLUGIN)
    with random_states_kept(torch.device("cpu")):
        outcomes = list(import_outcomes(watch(LooseFile(path))))
    assert all(outcome.fix for outcome in outcomes if outcome.result == "failed")
    return {outcome.check: outcome.problem for outcome in outcomes if outcome.result == "failed"}


WRONG_IMPORTS = [
    ("import time; time.sleep(3.1)", "imports quickly", "its import takes 3.1 s"),
    ("print('hello')\nprint('again')", "prints nothing", "its import prints 'hello'"),
    ("import os; os.write(2, b'from C')", "prints nothing", "its import prints 'from C'"),
    ("import random; random.seed(1)", "seeds nothing", "the global generator of random"),
    ("import numpy; numpy.random.rand()", "seeds nothing", "the global generator of numpy"),
    ("import torch; torch.manual_seed(1)", "seeds nothing", "the global generator of torch"),
    ("import torch; torch.set_default_dtype(torch.float64)", "leaves switches alone", "changes default_dtype"),
    ("import os; os.chdir('/')", "leaves switches alone", "changes the working folder"),
    ("import sys; sys.path.insert(0, 'x')", "leaves switches alone", "changes sys.path"),
    ("import nothing_of_the_sort", "loads", "No module named 'nothing_of_the_sort'"),
]


@pytest.mark.parametrize(("text", "check", "problem"), WRONG_IMPORTS)
def test_an_import_that_does_more_is_caught(
    text: str, check: str, problem: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with capfd.disabled():  # as in a process of its own, standard output is the first descriptor
        caught = problems(tmp_path, text)
    assert caught.keys() == {check}
    assert problem in caught[check]
    assert torch.get_default_dtype() == torch.float32


def test_an_import_that_does_nothing_more_is_well(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == {}


def building(line: str) -> str:
    """Return the plugin with one more line in its build()."""
    longer = PLUGIN.replace("        return nn", f"        {line}\n        return nn")
    return "import os, sys, torch\n" + longer


WRONG_WHEN_REBUILT = [
    (RESTLESS, NAME, "another process loads something else"),
    (building("torch.manual_seed(os.getpid())"), NAME, "another process builds something else"),
    (
        building('sys.modules["pytest"]'),
        NAME,
        "it cannot be rebuilt: model 'net' failed in build(): KeyError: 'pytest'",
    ),
    (building('"pytest" in sys.modules or os._exit(3)'), NAME, "the process that rebuilds it ended with exit code 3"),
]


@pytest.mark.slow
def test_a_plugin_that_another_process_builds_otherwise_is_caught(tmp_path: Path) -> None:
    texts = [PLUGIN, *(text for text, _, _ in WRONG_WHEN_REBUILT)]  # the one that ends the process is the last
    files = [tmp_path / f"plugin_{number}.py" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    well, *wrong = rebuilt([built(file, tmp_path) for file in files], map(str, files))
    assert (well.check, well.result) == (NAME, "passed")
    for outcome, (_, name, problem) in zip(wrong, WRONG_WHEN_REBUILT, strict=True):
        assert (outcome.check, outcome.result) == (name, "failed")
        assert problem in outcome.problem
        assert outcome.fix


def built(file: Path, root: Path) -> Built:
    (cls,) = Registry.load([file], only={str(file)}).plugins.values()
    return Built(cls(), str(file), root, CheckedImages(), fingerprint(cls()))


def test_every_check_has_a_wrong_plugin() -> None:
    names = {"loads", *(check.name for check in CHECKS), NAME}
    assert names == {name for _, name, _ in (*WRONG_IMPORTS, *WRONG_WHEN_REBUILT)}
