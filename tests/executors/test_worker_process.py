"""Workers whose plugins start processes of their own, and workers that are signalled."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.commands import Bench, workers
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import TrialError
from benchbench.executors.local import LocalExecutor
from benchbench.executors.worker_process import WorkerProcess
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died
from benchbench.records.events import EpochFinished, Failed, Finished
from benchbench.worker.system_metrics import OTHERS_CPU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchbench.protocol.messages import Answer
    from benchbench.records.journal import Journal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_cache", "new_workers")]
FILES = [str(PLUGINS / name) for name in ("tiny.py", "processes.py", "unruly.py")]
SHIPPED = ("digits", "flip", "no_augmentation", "cross_entropy", "sgd", "constant")
NEEDED = [*(f"benchbench:{name}" for name in SHIPPED), *FILES]
SECONDS = 60.0


@pytest.fixture
def bench(tmp_path: Path, cache: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Bench(tmp_path, cache)


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(plugin_files=FILES) as made:
        yield made


def jobs(executor: LocalExecutor, folder: Path, **table: Any) -> deque[TrialJob]:
    draft = Draft.from_toml({"model": "tiny", "epochs": 1, "batch_size": 20} | table)
    roots = {draft.dataset.name: str(folder / "root")}
    training = TrainingOptions(device="cpu", artifacts="none")
    return deque(
        TrialJob(each.spec, "1", roots[draft.dataset.name], str(folder / "trial" / "1"), training)
        for each in executor.resolve([draft], data_roots=roots, origins=NEEDED)
    )


def test_a_dataset_may_read_its_images_in_processes_of_its_own(executor: LocalExecutor, tmp_path: Path) -> None:
    for way in ("fork", "spawn", "pool", "loader"):
        *_, (_, last) = executor.run(jobs(executor, tmp_path / way, dataset={"name": "processes", "way": way}))
        assert isinstance(last, Finished), way


def test_ctrl_c_ends_a_load_that_hangs_with_all_of_its_processes(bench: Bench, tmp_path: Path) -> None:
    root = tmp_path / "pids"
    options = ("--set", "dataset.way=hang", "--data", root, "--plugins", FILES[0], "--plugins", FILES[1])
    root.touch()
    process = bench.start_anew("run", "tiny", "processes", *options)
    pids = wait_for_pids(root)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert not alive(pids)


def test_processes_of_a_plugin_end_when_the_worker_is_killed(executor: LocalExecutor, tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    pids: list[int] = []

    def kill_later() -> None:
        pids.extend(wait_for_pids(tmp_path / "root"))
        os.kill(worker_pid(), signal.SIGKILL)

    thread = threading.Thread(target=kill_later)
    thread.start()
    with pytest.raises(TrialError, match="killed by the system"):
        jobs(executor, tmp_path, dataset={"name": "processes", "way": "hang"})
    thread.join()
    assert not alive(pids)


def test_a_worker_that_gets_sigterm_finishes_what_it_does(executor: LocalExecutor, tmp_path: Path) -> None:
    """SLURM and other schedulers send it to every process; the driver then asks for a stop."""
    messages = []
    for _, message in executor.run(jobs(executor, tmp_path, dataset="digits", epochs=2)):
        messages.append(message)
        if getattr(message, "event", "") == "started":
            os.kill(worker_pid(), signal.SIGTERM)
    assert isinstance(messages[-1], Finished)


def test_sigterm_to_all_processes_stops_a_run_after_its_batch(bench: Bench) -> None:
    process = bench.start_anew(
        "run", "tiny", "digits", "--plugins", FILES[0], "--epochs", 100_000, "--artifacts", "none"
    )
    assert process.stdout is not None
    assert any("epoch" in line and "train" in line for line in process.stdout)
    for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
        each.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (journal,) = bench.journals()
    error = journal.record().error
    assert error is not None
    assert (journal.record().status, error.message) == ("killed", "stopped on request")


def test_a_death_that_the_system_caused_is_not_said_to_be_on_request(executor: LocalExecutor, tmp_path: Path) -> None:
    (death,) = deaths(executor, tmp_path, lambda: os.kill(worker_pid(), signal.SIGKILL))
    assert not death.is_requested
    assert "killed by the system" in death.reason
    (death,) = deaths(executor, tmp_path, executor.kill)
    assert death.is_requested
    assert death.reason == "stopped at once on request"


def deaths(executor: LocalExecutor, folder: Path, end: Callable[[], None]) -> list[Died]:
    """Return the deaths in a trial that is ended in this way once it has started."""
    told = []
    for _, message in executor.run(jobs(executor, folder, dataset="digits", epochs=100_000)):
        told.append(message)
        if getattr(message, "event", "") == "started":
            end()
    return [message for message in told if isinstance(message, Died)]


def test_a_worker_whose_gpu_is_lost_is_replaced(executor: LocalExecutor, tmp_path: Path) -> None:
    (before,) = jobs(executor, tmp_path, dataset="digits", model={"name": "unruly", "vice": "loses_gpu"})
    first = worker_pid()
    (after,) = jobs(executor, tmp_path, dataset="digits")
    after = replace(after, folder=str(tmp_path / "other" / "1"))
    ends = [message for _, message in executor.run(deque([before, after])) if isinstance(message, Failed | Finished)]
    assert [type(end) for end in ends] == [Failed, Finished]
    assert worker_pid() != first


def test_a_trial_whose_worker_gives_a_damaged_answer_fails_and_the_next_one_runs(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    garbles = {"name": "unruly", "vice": "garbles"}
    (before,) = jobs(executor, tmp_path, dataset="digits", model=garbles, epochs=100_000)
    (after,) = jobs(executor, tmp_path, dataset="digits")
    after = replace(after, folder=str(tmp_path / "other" / "1"))
    messages = [message for _, message in executor.run(deque([before, after]))]
    (death,) = [message for message in messages if isinstance(message, Died)]
    assert not death.is_requested
    assert death.reason.startswith("the worker's answer could not be read: ValidationError: ")
    assert isinstance(messages[-1], Finished)


def test_a_worker_that_cannot_read_a_request_ends_and_says_why() -> None:
    heard: queue.SimpleQueue[tuple[WorkerProcess, Answer | None]] = queue.SimpleQueue()
    worker = WorkerProcess(heard, {})
    worker._channel._connection.sendall(b"no message\n")
    while heard.get(timeout=SECONDS)[1] is not None:
        pass
    assert "Invalid JSON" in worker.death().reason
    worker.close()


def worker_pid() -> int:
    return next(child.pid for child in psutil.Process().children() if "benchbench.worker.main" in child.cmdline())


def wait_for_pids(path: Path) -> list[int]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) == 2:
            return [int(line) for line in lines]
        time.sleep(0.02)
    pytest.fail("the dataset started no processes")


def alive(pids: list[int]) -> list[int]:
    """Return those that still run two seconds from now."""
    deadline = time.monotonic() + 2
    while (left := [pid for pid in pids if runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_ctrl_z_suspends_the_workers_too_until_the_call_goes_on(bench: Bench) -> None:
    process = bench.start_anew(
        "run", "tiny", "digits", "--plugins", FILES[0], "--epochs", 100_000, "--artifacts", "none"
    )
    assert process.stdout is not None
    assert any("epoch" in line and "train" in line for line in process.stdout)
    (worker,) = workers(process)
    process.send_signal(signal.SIGTSTP)
    assert comes_true(lambda: worker.status() == psutil.STATUS_STOPPED)
    process.send_signal(signal.SIGCONT)
    assert comes_true(lambda: worker.status() != psutil.STATUS_STOPPED)
    (journal,) = bench.journals()
    # Its clock ran on, so that the times of this epoch say nothing: all of it counts as taken by others.
    assert comes_true(lambda: 100.0 in [event.system.get(OTHERS_CPU) for event in epochs_of(journal)])
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def epochs_of(journal: Journal) -> list[EpochFinished]:
    return [event for event in journal.events() if isinstance(event, EpochFinished)]


def comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
