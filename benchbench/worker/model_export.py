"""A trained model as an MLflow model folder: a graph of torch.export and the text files that describe it.

The files are those that ``mlflow.pytorch.save_model`` writes (a test compares them), and ``classifier.json``, with
which :mod:`benchbench.worker.predictor` takes images as they are. Writing them here spares the worker the import of
MLflow, two seconds. There is no pickle: it would need the plugin's code to load.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import platform
import shutil
import uuid
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from benchbench.paths import NO_ROOM, system_error, write_atomically
from benchbench.records import file_names
from benchbench.records.tracebacks import trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from benchbench.data.preparation import Classifier

TOLERANCE = 1e-4
"""How far a logit of the graph may be from the model's, absolute and relative; both run on one CPU."""


def save_model(folder: Path, model: nn.Module, example: Tensor, classifier: Classifier) -> str | None:
    """Write the model to ``folder`` and return None, or the reason why it cannot be exported.

    example: float32 ``[N, C, H, W]`` with N at least 2. What the folder holds is on the CPU and in eval mode,
    and takes batches of any size. Its description is written last. If a reason is returned, the folder is not there.
    Raises :class:`OSError` if the disk is full.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        exported = copy.deepcopy(model).cpu()
        exported.eval()
        program = _export(exported, example.cpu())
        _write(folder, program, classifier)
    except Exception as error:  # noqa: BLE001 - a plugin's code is traced here; a file is not worth the trial
        shutil.rmtree(folder, ignore_errors=True)
        if (of_disk := system_error(error)) and of_disk.errno in NO_ROOM:
            raise of_disk from None
        trace(error)
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
    return None


def _export(model: nn.Module, example: Tensor) -> ExportedProgram:
    """Return the graph of the model, after a check that it computes the same for one image and for several."""
    with torch.no_grad(), _silent():
        # DYNAMIC raises if the graph would fit one batch size only; AUTO, MLflow's choice, says nothing.
        dynamic_shapes = ({0: torch.export.Dim.DYNAMIC},)
        program = torch.export.export(model, (example,), dynamic_shapes=dynamic_shapes)
        graph = program.module()
        for images in (example, example[:1]):
            torch.testing.assert_close(graph(images), model(images), rtol=TOLERANCE, atol=TOLERANCE)
    _forget_source(program)
    return program


def _forget_source(program: ExportedProgram) -> None:
    """Take out of a graph the lines of code that each operation comes from, with the absolute paths of their files."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep torch from printing the whole graph if it cannot export it: the reason is returned."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    unread = io.StringIO()
    try:
        with redirect_stdout(unread), redirect_stderr(unread):
            yield
    finally:
        logging.disable(before)


def _write(folder: Path, program: ExportedProgram, classifier: Classifier) -> None:
    (folder / "data").mkdir(parents=True)
    with warnings.catch_warnings():
        # torch tells of weights that share storage and are not on the CPU; ours are there by now.
        warnings.filterwarnings("ignore", message="No complete tensor found in the group")
        torch.export.save(program, folder / "data" / file_names.GRAPH)
    classifier.write(folder / "data" / file_names.CLASSIFIER)
    names = ("mlflow", "torch", "benchbench")
    requirements = [f"{name}=={version(name).split('+')[0]}" for name in names]
    python = platform.python_version()
    texts = {
        "requirements.txt": "\n".join(requirements),
        "python_env.yaml": _PYTHON_ENV.format(python=python),
        "conda.yaml": _CONDA_ENV.format(python=python, requirements=json.dumps(requirements)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    description = _describe(classifier)
    description["model_size_bytes"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    # One JSON value a line is YAML, which is what MLflow reads.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in description.items()]
    write_atomically(folder / file_names.MODEL_DESCRIPTION, "".join(lines))


def _describe(classifier: Classifier) -> dict[str, object]:
    """Return the content of the file MLmodel: https://mlflow.org/docs/latest/ml/model/#mlmodel-file-structure.

    There is no schema of what goes in: MLflow's know either files or arrays, and this model takes both.
    """
    return {
        "flavors": {
            "python_function": {
                "data": "data",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "benchbench.worker.predictor",
                "python_version": platform.python_version(),
            },
            "pytorch": {"code": None, "model_data": "data", "pytorch_version": str(torch.__version__)},
        },
        "metadata": {"class_names": list(classifier.class_names)},
        "mlflow_version": version("mlflow"),
        "model_id": None,
        "model_uuid": uuid.uuid4().hex,
        "signature": {"inputs": None, "outputs": json.dumps(_columns(classifier)), "params": None},
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }


def _columns(classifier: Classifier) -> list[dict[str, object]]:
    """Return the columns of what the model says of images, as MLflow has them."""
    numbers = ("probability", *(f"probability_{name}" for name in classifier.class_names))
    types = {"image": "string", "prediction": "string"} | dict.fromkeys(numbers, "double")
    return [{"type": kind, "name": name, "required": True} for name, kind in types.items()]


_PYTHON_ENV = """\
python: {python}
build_dependencies:
- pip
- setuptools
- wheel
dependencies:
- -r requirements.txt
"""

_CONDA_ENV = """\
name: mlflow-env
channels:
- conda-forge
dependencies:
- python={python}
- pip
- pip: {requirements}
"""
