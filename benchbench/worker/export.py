"""A trained model as an MLflow model folder: a graph of torch.export and the text files that describe it.

The files are those that ``mlflow.pytorch.save_model`` writes (a test compares them). Writing them here spares
the worker the import of MLflow, two seconds. There is no pickle: it would need the plugin's code to load.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import platform
import shutil
import uuid
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn
    from torch.export import ExportedProgram

TOLERANCE = 1e-4
"""How far a logit of the graph may be from the model's, absolute and relative; both run on one CPU."""


def save_model(folder: Path, model: nn.Module, example: Tensor, class_names: tuple[str, ...]) -> str | None:
    """Write the model to ``folder`` and return None, or the reason why it cannot be exported.

    example: float32 ``[N, C, H, W]`` with N at least 2. What the folder holds is on the CPU and in eval mode,
    and takes batches of any size. Where a reason is returned, the folder is not there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        program = _export(copy.deepcopy(model).cpu().eval(), example.cpu())
        _write(folder, program, example, class_names=class_names)
    except Exception as error:  # noqa: BLE001 - a plugin's code is traced here; a file is not worth the trial
        shutil.rmtree(folder, ignore_errors=True)
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
    return None


def _export(model: nn.Module, example: Tensor) -> ExportedProgram:
    """Return the graph of the model, after a check that it computes the same for one image and for several."""
    import torch

    with torch.no_grad(), _silent():
        # DYNAMIC raises if the graph would fit one batch size only; AUTO, MLflow's choice, says nothing.
        dynamic_shapes = ({0: torch.export.Dim.DYNAMIC},)
        program = torch.export.export(model, (example,), dynamic_shapes=dynamic_shapes)
        graph = program.module()
        for images in (example, example[:1]):
            torch.testing.assert_close(graph(images), model(images), rtol=TOLERANCE, atol=TOLERANCE)
    return program


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


def _write(folder: Path, program: ExportedProgram, example: Tensor, *, class_names: tuple[str, ...]) -> None:
    import torch

    (folder / "data").mkdir(parents=True)
    torch.export.save(program, folder / "data" / "model.pt2")
    requirements = [f"mlflow=={version('mlflow')}", f"torch=={version('torch').split('+')[0]}"]
    python = platform.python_version()
    texts = {
        "requirements.txt": "\n".join(requirements),
        "python_env.yaml": _PYTHON_ENV.format(python=python),
        "conda.yaml": _CONDA_ENV.format(python=python, requirements=json.dumps(requirements)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    description = _describe(example.shape, _num_outputs(program), class_names)
    description["model_size_bytes"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    # One JSON value a line is YAML, which is what MLflow reads.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in description.items()]
    (folder / "MLmodel").write_text("".join(lines), encoding="utf-8")


def _num_outputs(program: ExportedProgram) -> int:
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    return int(output.args[0][0].meta["val"].shape[1])


def _describe(example_shape: Sequence[int], num_outputs: int, class_names: tuple[str, ...]) -> dict[str, object]:
    """Return the content of the file MLmodel: https://mlflow.org/docs/latest/ml/model/#mlmodel-file-structure."""
    import torch

    return {
        "flavors": {
            "python_function": {
                # MLflow writes null, and then loads the graph to the GPU if there is one, which it refuses
                # to be moved to.
                "config": {"device": "cpu"},
                "data": "data",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.pytorch",
                "pickle_module_name": "mlflow.pytorch.pickle_module",
                "python_version": platform.python_version(),
            },
            "pytorch": {"code": None, "model_data": "data", "pytorch_version": str(torch.__version__)},
        },
        "metadata": {"class_names": list(class_names)},
        "mlflow_version": version("mlflow"),
        "model_id": None,
        "model_uuid": uuid.uuid4().hex,
        "signature": {
            "inputs": _tensor_schema([-1, *example_shape[1:]]),
            "outputs": _tensor_schema([-1, num_outputs]),
            "params": None,
        },
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }


def _tensor_schema(shape: list[int]) -> str:
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}])


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
