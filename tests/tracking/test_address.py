"""Stores that cannot be used are found before MLflow is imported, and say what to do."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchbench.errors import TrackingError
from benchbench.records.record import MlflowRun
from benchbench.records.redaction import without_credentials
from benchbench.tracking.address import find_readable_store, find_store, how_to_open

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_default_is_mlflows_own_in_the_working_folder(workdir: Path) -> None:
    assert find_store() == f"sqlite:///{workdir}/mlflow.db"
    assert list(workdir.iterdir()) == []


def test_the_variable_of_mlflow_is_obeyed_and_an_argument_goes_before_it(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///by_variable.db")
    assert find_store() == f"sqlite:///{workdir}/by_variable.db"
    assert find_store("sqlite:///by_argument.db") == f"sqlite:///{workdir}/by_argument.db"
    assert find_store("sqlite:////tmp/absolute.db?timeout=5") == "sqlite:////tmp/absolute.db?timeout=5"


@pytest.mark.parametrize("experiment", ["0", "123456789"])
def test_a_left_over_file_store_is_refused_with_two_ways_out(workdir: Path, experiment: str) -> None:
    (workdir / "mlruns" / experiment).mkdir(parents=True)
    (workdir / "mlruns" / experiment / "meta.yaml").touch()
    with pytest.raises(TrackingError, match="holds runs of an older MLflow") as caught:
        find_store()
    assert "migrate-filestore" in caught.value.hint
    assert "MLFLOW_TRACKING_URI=sqlite:///mlflow.db" in caught.value.hint
    assert find_store("sqlite:///mlflow.db") == f"sqlite:///{workdir}/mlflow.db"


def test_the_files_of_a_database_store_are_no_left_over(workdir: Path) -> None:
    (workdir / "mlruns" / "1" / "abcdef").mkdir(parents=True)
    assert find_store() == f"sqlite:///{workdir}/mlflow.db"


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "/somewhere/mlruns", "file:///somewhere/mlruns", "file:mlruns"])
def test_a_folder_is_no_store(uri: str) -> None:
    with pytest.raises(TrackingError, match="keep no runs in folders"):
        find_store(uri)


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs a folder in which not even root may write")
    with pytest.raises(TrackingError, match=r"/proc/mlflow\.db cannot be written"):
        find_store("sqlite:////proc/mlflow.db")


def test_a_folder_that_is_not_there_is_refused_and_not_made(workdir: Path) -> None:
    with pytest.raises(TrackingError, match="no such folder"):
        find_store("sqlite:///missing/mlflow.db")
    assert list(workdir.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_and_kept(workdir: Path) -> None:
    (workdir / "mlflow.db").write_text("not a database, and longer than a hundred bytes" * 5, encoding="utf-8")
    before = (workdir / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match="not a database"):
        find_store()
    assert (workdir / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match="names no file"):
        find_store(uri)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host:5000/path", "http://host:5000/path"),
        ("postgresql://user:p@ss@host/db", "postgresql://host/db"),
        ("postgresql+psycopg2://u:a/b?c#d'e@host/db", "postgresql+psycopg2://host/db"),
        ("cannot reach https://token@host: gone", "cannot reach https://host: gone"),
        ("mysql://host/db?user=a&password=b&x=1", "mysql://host/db?user=a&password=***&x=1"),
        ("https://host/set.zip?sig=a%2Fb&x=1", "https://host/set.zip?sig=***&x=1"),
        ("https://host/set.zip?x=1&X-Amz-Signature=ab", "https://host/set.zip?x=1&X-Amz-Signature=***"),
        (
            "https://host?access_token=a&api_key=b&sslpassword=c",
            "https://host?access_token=***&api_key=***&sslpassword=***",
        ),
        (
            "mssql+pyodbc:///?odbc_connect=UID%3Dann%3BPWD%3Dse%2Fcret%3BServer%3Dx",
            "mssql+pyodbc:///?odbc_connect=UID%3Dann%3BPWD%3D***%3BServer%3Dx",
        ),
        ("Driver={x};Uid=ann;Pwd=secret;Server=x", "Driver={x};Uid=ann;Pwd=***;Server=x"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_credentials_are_taken_out_of_addresses(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_the_line_that_opens_a_run_fits_its_store(workdir: Path) -> None:
    place = "#/experiments/1/runs/abc"
    assert how_to_open(MlflowRun("http://u:p@host:5000", "1", "abc")) == f"http://host:5000/{place}"
    default = MlflowRun(f"sqlite:///{workdir}/mlflow.db", "1", "abc")
    assert how_to_open(default) == f"mlflow ui  then  http://127.0.0.1:5000/{place}"
    elsewhere = MlflowRun("sqlite:////data/mlflow.db", "1", "abc")
    assert "--backend-store-uri sqlite:////data/mlflow.db" in how_to_open(elsewhere)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("localhost:5000", "MLFLOW_TRACKING_URI=http://localhost:5000"),
        ("127.0.0.1:5000", "MLFLOW_TRACKING_URI=http://127.0.0.1:5000"),
        ("my-server.org:5000/path", "MLFLOW_TRACKING_URI=http://my-server.org:5000/path"),
        ("http://host:5000/#/experiments/1", "MLFLOW_TRACKING_URI=http://host:5000"),
        ("http://me:secret@host:5000/#/compare", "MLFLOW_TRACKING_URI=http://host:5000"),
        ("sqlite://mlflow.db", "sqlite:///mlflow.db"),
        ("sqlite:mlflow.db", "sqlite:///mlflow.db"),
        ("sqllite:///mlflow.db", "did you mean 'sqlite'?"),
        ("postgres://host/db", "did you mean 'postgresql'?"),
        ("htp://host:5000", "did you mean 'http'?"),
        ("myserver", "http://HOST:PORT"),
    ],
)
@pytest.mark.parametrize("find", [find_store, find_readable_store])
def test_an_address_as_people_type_it_gets_a_hint_that_fits(
    find: Callable[[str], str], typed: str, hint: str, workdir: Path
) -> None:
    with pytest.raises(TrackingError) as caught:
        find(typed)
    assert hint in caught.value.hint
    assert "secret" not in caught.value.message
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("find", [find_store, find_readable_store])
def test_three_slashes_that_were_meant_as_an_absolute_path_are_noted(find: Callable[[str], str], workdir: Path) -> None:
    with pytest.raises(TrackingError) as caught:
        find(f"sqlite://{workdir}/mlflow.db")
    assert caught.value.hint == f"an absolute path takes four slashes: sqlite:///{workdir}/mlflow.db"


def test_a_proxy_in_between_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match="does not answer") as caught:
        find_store("http://mlflow.example.org:5000")
    assert caught.value.hint == "the proxy http://127.0.0.1:9 is in between; NO_PROXY=mlflow.example.org goes around it"


def test_what_is_read_must_be_there_and_be_a_database(workdir: Path) -> None:
    with pytest.raises(TrackingError, match="nothing was run here"):
        find_readable_store()
    (workdir / "mlflow.db").write_text("no database", encoding="utf-8")
    with pytest.raises(TrackingError, match="is not a database"):
        find_readable_store()


def test_a_server_is_asked_without_mlflow_whose_import_reads_what_we_set_before(tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_username = ann\n", encoding="utf-8")
    program = (
        "import sys\nfrom benchbench.tracking.address import find_store\n"
        "try:\n    find_store()\nexcept Exception as error:\n    print(error, 'mlflow' in sys.modules)"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "does not answer" in done.stdout
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize(("kept", "password"), [("a%%b", "a%b"), ("plain", "plain")])
def test_the_login_in_mlflows_file_is_used(
    kept: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = {kept}\n", encoding="utf-8"
    )
    logins: list[str | None] = []

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        find_store(f"http://127.0.0.1:{server.server_port}")
    assert logins == [f"Basic {base64.b64encode(f'ann:{password}'.encode()).decode()}"]


def test_a_password_before_a_host_without_a_scheme_is_not_shown() -> None:
    with pytest.raises(TrackingError, match="'host:5000' is of a kind that MLflow does not support") as caught:
        find_store("ann:secret@host:5000")
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
