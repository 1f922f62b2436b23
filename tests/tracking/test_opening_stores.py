"""Stores and experiments that are made, found or refused."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from benchbench.errors import TrackingError
from benchbench.tracking import Store
from benchbench.tracking.client import mlflow_client

if TYPE_CHECKING:
    from pathlib import Path


def test_many_who_open_the_same_new_experiment_get_one(database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store.open(database, "raced"), range(4)))
    assert len({store.experiment_id for store in stores}) == 1
    assert stores[0].experiment_id != "0"
    tags = stores[0].client.get_experiment_by_name("raced").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_deleted_experiment_is_refused_with_the_way_to_bring_it_back(database: str) -> None:
    store = Store.open(database, "gone")
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(TrackingError, match="'gone' is deleted") as caught:
        Store.open(database, "gone")
    assert f"mlflow experiments restore -x {store.experiment_id}" in caught.value.hint


def test_the_experiment_of_mlflow_itself_is_refused(database: str) -> None:
    with pytest.raises(TrackingError, match="MLflow's default"):
        Store.open(database, "Default")


def test_an_experiment_whose_files_only_a_server_can_write_is_refused(database: str) -> None:
    mlflow_client(database).create_experiment("served", artifact_location="mlflow-artifacts:/9")
    with pytest.raises(TrackingError, match="made through a tracking server"):
        Store.open(database, "served")


def test_a_database_of_another_mlflow_is_refused_with_the_way_to_upgrade_it(
    tmp_path: Path, empty_database: Path
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(empty_database, other)
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
        connection.commit()
    with pytest.raises(TrackingError, match="cannot use the tracking store") as caught:
        Store.open(f"sqlite:///{other}")
    assert f"mlflow db upgrade sqlite:///{other}" in caught.value.hint


@pytest.mark.slow
def test_a_new_store_is_made_in_silence_and_without_leaving_the_working_folder(tmp_path: Path) -> None:
    program = "from benchbench.tracking import Store; print(Store.open().tracking_uri)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"sqlite:///{tmp_path}/mlflow.db\n"
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_a_store_that_was_being_made_by_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    program = "import mlflow; from benchbench.tracking import Store; print('begins', flush=True); Store.open()"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.kill()
    process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_the_tracker_is_imported_without_mlflow() -> None:
    program = "import sys, benchbench.tracking; print({'mlflow', 'torch', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
