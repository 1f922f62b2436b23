"""The tracker against a real ``mlflow server``: there, away, and back again."""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal

import pytest
import requests
import torch
from support import journals
from support.classifiers import classifier
from support.commands import Bench
from support.paths import PLUGINS
from support.tracking_server import free_port, server
from torch import nn

from benchbench import export_results
from benchbench.errors import TrackingError
from benchbench.tracking import Store, how_to_open
from benchbench.tracking.client import mlflow_client
from benchbench.tracking.store import check_store
from benchbench.worker.model_export import save_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with server(folder, free_port()) as address:
        yield address


def test_a_server_has_everything_that_was_delivered_to_it(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pytorch

    journal = journals.write_journal(
        tmp_path, journals.started(tmp_path.name), journals.epoch(1), journals.NAN_EPOCH, journals.finished()
    )
    (journal.artifacts / "figures").mkdir(parents=True)
    (journal.artifacts / "figures" / "curves.png").write_bytes(b"png")
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    assert (
        save_model(journal.artifacts / "model", network, torch.randn(2, 3, 2, 2), classifier(journals.CLASSES, side=2))
        is None
    )
    store = Store.open(served)
    run = store.deliver(journal)
    assert Store.open(served).deliver(journal) == run

    found = store.client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["optimizer.lr"] == "0.001"
    assert found.data.tags["benchbench.spec_id"] == journals.SPEC.id
    assert len(found.inputs.dataset_inputs) == 3
    assert [point.step for point in store.client.get_metric_history(run.run_id, "train_loss")] == [1, 2]
    assert len(store.client.get_metric_history(run.run_id, "val_loss")) == 2
    assert [item.path for item in store.client.list_artifacts(run.run_id, "figures")] == ["figures/curves.png"]
    (model,) = store.client.search_logged_models([run.experiment_id])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served)
    images = torch.randn(5, 3, 2, 2)
    torch.testing.assert_close(mlflow.pytorch.load_model(f"models:/{model.model_id}")(images), network(images))
    assert how_to_open(run) == f"{served}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")


def test_a_server_that_is_down_is_found_out_before_training() -> None:
    address = f"http://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError, match="does not answer") as caught:
        Store.open(address)
    assert "secret" not in caught.value.message + caught.value.hint
    assert "mlflow server" in caught.value.hint


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a web server that is no MLflow server."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "message"), [(404, "no working MLflow server"), (401, "refuses access")])
def test_what_answers_without_being_an_mlflow_server_to_us_is_named(status: int, message: str) -> None:
    with answering(status) as address, pytest.raises(TrackingError, match=message):
        Store.open(address)


@contextmanager
def gateway(address: str, fate: Callable[[str, str], Literal["answered", "refused", "lost"]]) -> Iterator[str]:
    """Run a server that passes on what is asked of another, refuses it, or loses the answer, by method and path."""

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.pass_on("GET")

        def do_POST(self) -> None:
            self.pass_on("POST")

        def do_PUT(self) -> None:
            self.pass_on("PUT")

        def do_PATCH(self) -> None:
            self.pass_on("PATCH")

        def do_DELETE(self) -> None:
            self.pass_on("DELETE")

        def pass_on(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_lost = (decided := fate(method, self.path)) == "lost"
            if decided == "refused":
                self.answer(403, b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}')
                return
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            answer = requests.request(method, address + self.path, data=body, headers=headers, timeout=30)
            self.answer(504 if is_lost else answer.status_code, b"" if is_lost else answer.content)

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join()


def read_only(method: str, path: str) -> Literal["answered", "refused"]:
    return "answered" if method == "GET" or path.endswith("/search") else "refused"


def test_an_experiment_that_may_only_be_read_is_found_out_before_training(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(served, "guarded")
    tags = store.client.get_experiment(store.experiment_id).tags
    assert Store.open(served, "guarded").experiment_id == store.experiment_id
    assert store.client.get_experiment(store.experiment_id).tags == tags
    with gateway(served, read_only) as address:
        with pytest.raises(TrackingError, match=r"'guarded' on .* cannot be written to: .*Permission denied") as caught:
            Store.open(address, "guarded")
        assert "permission" in caught.value.hint
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "guarded")
        with pytest.raises(TrackingError, match="cannot be written to"):
            check_store()
    assert store.client.get_experiment(store.experiment_id).tags == tags
    assert store.client.search_runs([store.experiment_id]) == []


def test_a_gateway_that_loses_answers_makes_no_second_run_or_model(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {"/runs/create", "/logged-models"}

    def fate(method: str, path: str) -> Literal["answered", "lost"]:
        ending = next((ending for ending in lost if method == "POST" and path.endswith(ending)), "")
        lost.discard(ending)
        return "lost" if ending else "answered"

    monkeypatch.chdir(tmp_path)
    journal = journals.write_journal(tmp_path, journals.started(tmp_path.name), journals.finished())
    (journal.artifacts / "model").mkdir(parents=True)
    (journal.artifacts / "model" / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
    with gateway(served, fate) as address:
        store = Store.open(address, "gateway")
        store.deliver(journal)
        assert not lost
        lost.add("/runs/create")
        store.open_parent("rates", file=tmp_path / "rates.toml", headline="")
    assert not lost
    client = mlflow_client(served)
    runs = client.search_runs([store.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "RUNNING"]
    assert len(client.search_logged_models([store.experiment_id])) == 1


@pytest.mark.slow
def test_the_json_of_a_trial_that_a_server_tracks_is_json(served: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "cache", {"MLFLOW_TRACKING_URI": served, "PYTHONIOENCODING": "ascii"})
    plugin = PLUGINS / "tiny.py"
    done = bench("run", "tiny", "digits", "--plugins", plugin, "-e", 1, "--artifacts", "none", "--json", LANG="C")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["mlflow"]["tracking_uri"] == served


def test_an_experiment_whose_files_lie_on_another_machine_is_refused(served: str) -> None:
    mlflow_client(served).create_experiment("ann", artifact_location="/on-another-machine/files/mlruns/7")
    with pytest.raises(
        TrackingError, match="keeps its files in /on-another-machine/files/mlruns/7, a folder that this"
    ) as caught:
        Store.open(served, "ann")
    assert "--experiment NAME" in caught.value.hint


def test_trials_whose_files_lie_on_another_machine_are_not_exported_without_them(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mlflow_client(served)
    experiment_id = client.create_experiment("bob", artifact_location="/on-another-machine/files/mlruns/8")
    run = client.create_run(experiment_id, tags={"benchbench.attempt": "1", "benchbench.spec_id": journals.SPEC.id})
    client.set_terminated(run.info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served)
    with pytest.raises(TrackingError, match="keeps its files in /on-another-machine/files/mlruns/8, a folder that"):
        export_results(tmp_path / "results.bench", "bob")
    assert not (tmp_path / "results.bench").exists()
