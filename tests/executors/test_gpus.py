"""Which GPU each worker gets, from what the environment says."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from benchbench.executors.gpus import visible_gpus
from benchbench.executors.local import worker_environments

MIG = "MIG-1a2b3c4d-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("4,5", ("4", "5")),
        (" 2 , 0 ", ("2", "0")),
        (f"GPU-8932f937,{MIG}", ("GPU-8932f937", MIG)),
        ("-1", ()),
        ("", ()),
        ("1,-1,0", ("1",)),
        ("NoDevFiles", ()),
    ],
)
def test_workers_may_use_the_gpus_that_are_visible(
    listed: str, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi nobody knows how many there are
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": listed}) == names


LAPTOP = "GPU 0: NVIDIA GeForce RTX 4060 Laptop GPU (UUID: GPU-76e6)"
DIVIDED = (
    "GPU 0: NVIDIA A100 (UUID: GPU-8932)\n  MIG 1g.5gb Device 0: (UUID: MIG-1a2b)\nGPU 1: NVIDIA A100 (UUID: GPU-9a)"
)


@pytest.fixture
def list_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes nvidia-smi list these GPUs."""

    def make(listed: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<END\n{listed}\nEND\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return make


@pytest.mark.parametrize(("listed", "names"), [(LAPTOP, ("0",)), (DIVIDED, ("0", "1")), ("", ())])
def test_gpus_are_counted_by_their_lines(listed: str, names: tuple[str, ...], list_gpus: Callable[[str], None]) -> None:
    list_gpus(listed)
    assert visible_gpus({}) == names


@pytest.mark.parametrize(
    ("visible", "names"), [("0,1,2,3", ("0", "1")), ("1,2,0", ("1",)), (f"1,{MIG}", ("1", MIG)), ("2", ())]
)
def test_a_number_that_no_gpu_has_ends_the_list(
    visible: str, names: tuple[str, ...], list_gpus: Callable[[str], None]
) -> None:
    list_gpus(DIVIDED)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": visible}) == names


def gpus_of_workers(num_jobs: int, gpus: tuple[str, ...]) -> list[str | None]:
    made = islice(worker_environments(num_jobs, gpus), num_jobs)
    return [environment.get("CUDA_VISIBLE_DEVICES") for environment in made]


def test_each_worker_gets_one_of_them_and_never_another_persons() -> None:
    assert gpus_of_workers(2, ("4", "5")) == ["4", "5"]
    assert gpus_of_workers(3, ("4", "5")) == ["4", "5", "4"]
    assert gpus_of_workers(1, ("4", "5")) == [None]
    assert gpus_of_workers(2, ("4",)) == [None, None]
    assert gpus_of_workers(2, ()) == [None, None]


def test_workers_for_the_cpu_see_no_gpu() -> None:
    assert next(worker_environments(1, (), hides_gpus=True))["CUDA_VISIBLE_DEVICES"] == ""


def test_processors_are_divided_among_workers_unless_their_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "OMP_NUM_THREADS" not in next(worker_environments(1, ()))
    assert int(next(worker_environments(10_000, ()))["OMP_NUM_THREADS"]) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert next(worker_environments(2, ())) == {}
