"""``bench doctor``: what is here, and what of it cannot be used."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from benchbench.cli.doctor import describe
from benchbench.cli.main import make_app
from benchbench.driver.doctor import Diagnosis

if TYPE_CHECKING:
    from pathlib import Path

WELL = Diagnosis(
    versions={},
    processor="Some Processor",
    cores=2,
    load=0.5,
    devices=(),
    threads=2,
    tracking_store="sqlite:///mlflow.db",
    cache="cache",
    plugins={},
    data={},
    mended=(),
    problems=(),
)


def test_what_works_is_listed_without_a_problem(workdir: Path) -> None:
    done = CliRunner().invoke(make_app(), ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    findings = json.loads(done.stdout)
    assert findings["problems"] == []
    assert "cpu" in [device["device"] for device in findings["devices"]]
    assert findings["plugins"]["model alexnet"] == "benchbench:alexnet"
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(("load", "is_shown"), [(12.34, True), (1.5, False)])
def test_a_load_is_shown_if_it_is_more_than_the_cores_can_do(load: float, *, is_shown: bool) -> None:
    lines = [line for line in describe(replace(WELL, load=load)) if line.startswith("load ")]
    assert [line.partition(",")[0] for line in lines] == (["load       12.3"] if is_shown else [])


def test_a_worker_that_cannot_start_is_a_problem(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "broken").mkdir()
    (workdir / "broken" / "torch.py").write_text("raise ImportError('no torch today')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(workdir / "broken"))
    done = CliRunner().invoke(make_app(), ["doctor"])
    assert done.exit_code == 1
    assert "problem    worker: it cannot start: ImportError: no torch today" in done.stdout
    assert "no problems" not in done.stdout


@pytest.mark.slow
def test_paths_that_are_not_there_any_more_are_problems(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(workdir / "unmounted"))
    monkeypatch.setenv("BENCH_PLUGINS", str(workdir / "gone.py"))
    done = CliRunner().invoke(make_app(), ["doctor"])
    assert done.exit_code == 1, done.output
    plugins, data = (line for line in done.stdout.splitlines() if line.startswith("problem"))
    assert plugins.startswith(f"problem    plugins: no plugin file or folder '{workdir}/gone.py'")
    assert data.startswith("problem    data: no images of ")
    assert f"at {workdir}/unmounted: there is no such file or folder (BENCH_DATA)" in data
    assert re.search(r"plugins    \d+ of benchbench", done.stdout)


def test_of_plugins_only_those_of_others_are_named_one_by_one() -> None:
    diagnosis = replace(
        WELL,
        plugins={"model alexnet": "benchbench:alexnet", "model mine": "mine.py", "loss bce": "benchbench:bce"},
        data={"digits": "/somewhere", "mnist": None, "svhn": None},
    )
    assert list(describe(diagnosis))[-5:] == [
        "plugins    2 of benchbench (bench list)",
        "plugin     model mine  (mine.py)",
        "data       digits: /somewhere",
        "data       not here: mnist, svhn (bench data fetch NAME)",
        "no problems",
    ]
