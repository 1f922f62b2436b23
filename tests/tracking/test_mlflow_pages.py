"""What ``bench`` leaves in MLflow, as its own pages show it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import requests
from support.commands import Bench
from support.paths import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities import Run
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
GRID = """
name = "dots"
question = "Which learning rate finds the dot?"
model = "line"
dataset = "dots"
epochs = 2
batch_size = 20
optimizer = { name = "sgd", lr = { grid = [0.1, 0.001] } }
"""
START_SECONDS = 90
PAGE_MS = 60_000


@dataclass(frozen=True)
class Server:
    """``mlflow ui`` on a finished grid: the address of its experiment, the runs of two trials and of the grid."""

    address: str
    trials: tuple[Run, Run]
    parent: Run


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    assert browser.is_connected()
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(empty_database, folder / "mlflow.db")
    bench = Bench(folder, folder / "cache")
    bench.write("grid.toml", GRID)
    done = bench("grid", "grid.toml", "--artifacts", "full", "--plugins", PLUGINS / "dots.py")
    assert done.returncode == 0, done.stderr
    first, second = bench.runs()
    (parent,) = bench.parents()
    with mlflow_ui(folder) as address:
        yield Server(f"{address}/#/experiments/{parent.info.experiment_id}", (first, second), parent)


@contextmanager
def mlflow_ui(folder: Path) -> Iterator[str]:
    """Give the address of ``mlflow ui``, started with no arguments but its port in the folder of the store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", process)
        yield address
    finally:
        # Asked to end, it waits for connections that the browser keeps open; nothing is being written.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_SECONDS)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "mlflow ui has ended"
        assert time.monotonic() < deadline, "mlflow ui does not answer"
        with suppress(requests.RequestException):
            if requests.get(address, timeout=5).ok:
                return
        time.sleep(0.2)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1400, "height": 1000}) as context:
        context.set_default_timeout(PAGE_MS)
        yield context.new_page()


def test_the_table_of_runs_shows_the_grid_with_its_trials_below_it(page: Page, server: Server) -> None:
    page.goto(f"{server.address}/runs")
    grid = page.get_by_role("link", name=server.parent.info.run_name, exact=True)
    grid.first.wait_for()
    page.locator(".ag-cell").filter(has=grid).get_by_role("button").first.click()
    names = [trial.info.run_name for trial in server.trials]
    assert len(set(names)) == 2
    for name in names:
        page.get_by_role("link", name=name, exact=True).wait_for()


def test_two_runs_are_compared_with_their_params_and_curves(page: Page, server: Server) -> None:
    run_ids = ",".join(f'"{run.info.run_id}"' for run in server.trials)
    base, _, experiment = server.address.partition("#/experiments/")
    page.goto(f'{base}#/compare-runs?runs=[{run_ids}]&experiments=["{experiment}"]')
    row = page.get_by_role("row").filter(has_text="optimizer.lr")
    row.first.wait_for()
    assert {run.data.params["optimizer.lr"] for run in server.trials} <= set(row.first.inner_text().split())
    metric = 'metric="val_loss"&plot_metric_keys=["val_loss"]'
    page.goto(f'{base}#/metric?runs=[{run_ids}]&{metric}&experiments=["{experiment}"]')
    curves = page.locator(".js-plotly-plot .scatterlayer .trace")
    curves.nth(len(server.trials) - 1).wait_for(state="attached")


def test_an_image_among_the_artifacts_is_shown(page: Page, server: Server) -> None:
    page.goto(f"{server.address}/runs/{server.trials[0].info.run_id}/artifacts/figures/curves.png")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 300)")
