"""Real Ray on this machine: the same results as local workers, and trials that end in every way."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import journals
from support.commands import Bench, trials
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import BenchError, DeviceError, SpecError
from benchbench.executors.local import LocalExecutor
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Output, Refused
from benchbench.records.events import Failed, Finished
from benchbench.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.executors import Executor

pytest.importorskip("ray", reason="the extra benchbench[ray] is not installed")
from benchbench.executors.ray import RayExecutor, _Task
from benchbench.executors.ray_cluster import Slots, connect, divide

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_cache")]
PLUGIN_FILES = [str(PLUGINS / name) for name in ("tiny.py", "unruly.py")]
SHIPPED = ("digits", "no_augmentation", "cross_entropy", "sgd", "constant")
NEEDED = [*(f"benchbench:{name}" for name in SHIPPED), *PLUGIN_FILES]
CLOCKS = (
    "train_seconds",
    "eval_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "noisy",
    "times",
    "attempt",
    "started_ms",
    "ended_ms",
)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """Start one small Ray for all tests: an executor uses what this process is connected to."""
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def executor() -> Iterator[RayExecutor]:
    with RayExecutor(num_jobs=1, plugin_files=PLUGIN_FILES) as made:
        yield made


def draft(model: object = "tiny", **more: Any) -> Draft:
    return Draft.from_toml({"model": model, "dataset": "digits", "epochs": 1, "batch_size": 100} | more)


def unruly(vice: str) -> Draft:
    return draft({"name": "unruly", "vice": vice})


def jobs(executor: Executor, folder: Path, *drafts: Draft) -> deque[TrialJob]:
    return deque(
        TrialJob(
            spec=item.spec,
            attempt=str(number),
            data_root="nowhere",
            folder=str(folder / item.spec.id[:16] / str(number)),
            training=TrainingOptions(device="cpu", artifacts="none"),
        )
        for number, item in enumerate(executor.resolve(drafts, data_roots={"digits": "nowhere"}, origins=NEEDED))
    )


def without_clocks(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_clocks(item) for key, item in value.items() if key not in CLOCKS}
    return [without_clocks(item) for item in value] if isinstance(value, list) else value


def records(executor: Executor, folder: Path, *drafts: Draft) -> dict[str, object]:
    heard: dict[str, list[Any]] = {}
    for job, message in executor.run(jobs(executor, folder, *drafts)):
        if hasattr(message, "event"):
            heard.setdefault(job.spec.id, []).append(message)
    return {key: without_clocks(json.loads(Record.of(events).to_json())) for key, events in heard.items()}


def test_ray_and_one_or_two_local_workers_leave_equal_records(tmp_path: Path) -> None:
    drafts = [draft(epochs=2, seed=seed) for seed in range(2)] + [unruly("raises")]
    recorded = []
    for executor in (
        LocalExecutor(num_jobs=1, plugin_files=PLUGIN_FILES),
        LocalExecutor(num_jobs=2, plugin_files=PLUGIN_FILES),
        RayExecutor(num_jobs=2, plugin_files=PLUGIN_FILES),
    ):
        with executor:
            recorded.append(records(executor, tmp_path, *drafts))
    assert len(recorded[0]) == len(drafts)
    assert recorded[0] == recorded[1]
    assert recorded[0] == recorded[2]


def test_trials_that_fail_in_every_way_leave_the_next_one_alone(executor: RayExecutor, tmp_path: Path) -> None:
    drafts = [unruly(vice) for vice in ("talks", "raises", "build", "dies", "meddles")]
    heard: dict[str, list[object]] = {}
    given = jobs(executor, tmp_path, *drafts)
    for job, message in executor.run(given.copy()):
        heard.setdefault(job.attempt, []).append(message)
    ends = [heard[job.attempt][-1] for job in given]
    assert [type(end) for end in ends] == [Finished, Failed, Refused, Died, Finished]
    assert any(isinstance(said, Output) and "a plugin may well print" in said.text for said in heard["0"])
    assert isinstance(ends[2], Refused)
    assert "ValueError: this cannot be built" in ends[2].reason.traceback
    assert not Path(given[2].folder).exists(), "it has not begun"
    assert isinstance(ends[3], Died)
    assert "killed by the system" in ends[3].reason


def test_a_stop_ends_the_running_trial_as_killed_and_starts_no_other(executor: RayExecutor, tmp_path: Path) -> None:
    given = jobs(executor, tmp_path, draft(epochs=100_000), draft())
    told = []
    for job, message in executor.run(given.copy()):
        told.append((job, message))
        if getattr(message, "event", "") == "epoch_finished" and executor.progress()[job.folder] > 0:
            executor.stop()
    assert isinstance(told[-1][1], Failed)
    assert told[-1][1].status == "killed"
    assert all(job is given[0] for job, _ in told)


def test_a_kill_ends_the_running_trial_at_once(executor: RayExecutor, tmp_path: Path) -> None:
    told = []
    for _, message in executor.run(jobs(executor, tmp_path, draft(epochs=100_000), draft())):
        told.append(message)
        if getattr(message, "event", "") == "started":
            executor.kill()
    assert isinstance(told[-1], Died)
    assert "on request" in told[-1].reason


def test_a_trial_that_waits_for_room_in_the_cluster_ends_when_a_stop_is_asked_for(
    executor: RayExecutor, tmp_path: Path
) -> None:
    given = jobs(executor, tmp_path, draft(epochs=100_000), draft(epochs=100_000, seed=1))
    executor.num_jobs = 2  # one more than there is room for, and Ray chooses which of them gets it
    told = []
    for job, message in executor.run(given.copy()):
        told.append((job, message))
        if getattr(message, "event", "") == "epoch_finished" and sum(executor.progress().values()) > 0:
            executor.stop()
    ends = {job.attempt: message for job, message in told}
    began, waited = sorted(ends, key=lambda attempt: isinstance(ends[attempt], Died))
    assert isinstance(ends[began], Failed)
    assert isinstance(ends[waited], Died)
    assert [message for job, message in told if job.attempt == waited] == [ends[waited]], "it must not have begun"


@pytest.mark.parametrize(("gpus", "device"), [(1, "cuda"), (0, "auto")])
def test_a_trial_that_has_a_gpu_of_rays_does_not_train_on_the_cpu(
    executor: RayExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: int, device: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(executor, "_slots", replace(executor._slots, gpus=gpus))
    monkeypatch.setattr(executor, "_submit", lambda requests, folder: iter(asked.extend(requests) or ()))
    job = TrialJob(journals.SPEC, "a", "nowhere", str(tmp_path / "a"))
    ((told, _),) = executor.run(deque([job]))
    assert told is job
    assert asked[-1].job.training.device == device


def test_an_ill_typed_parameter_is_refused_when_specs_are_resolved(executor: RayExecutor, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"optimizer\.lr"):
        jobs(executor, tmp_path, draft(optimizer={"name": "sgd", "lr": "fast"}))


@pytest.mark.parametrize("has_run_there", [False, True])
def test_a_task_that_does_not_see_the_folder_of_the_trial_says_what_must_be_shared(
    executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_run_there: bool
) -> None:
    (job,) = jobs(executor, tmp_path, draft())
    if has_run_there:
        Path(job.folder).with_name("an earlier attempt").mkdir(parents=True)
    with monkeypatch.context() as context:
        context.setattr(Path, "mkdir", lambda *_, **__: None)  # as if the driver's disk were another
        *_, (_, message) = executor.run(deque([job]))
    assert isinstance(message, Refused)
    assert "BENCH_STATE" in message.error.hint


GRID = f"""
name = "tiny"
question = "Does a grid run on Ray?"
model = "tiny"
dataset = "digits"
epochs = 1
batch_size = 100
seeds = [0, 1]
optimizer = {{ name = "sgd", lr = 0.01 }}
plugins = ["{PLUGIN_FILES[0]}"]
"""


def test_bench_grid_on_ray_tracks_its_trials_and_imports_nothing_from_the_working_folder(
    tmp_path: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, tmp_path / "cache")
    bench.write("tiny.toml", GRID)
    bench.write("torch.py", "raise SystemExit('the working folder was imported')")
    bench.write("benchbench.py", "raise SystemExit('the working folder was imported')")
    done = bench("grid", "tiny.toml", "--executor", "ray", "--artifacts", "none", "--json")
    assert done.returncode == 0, done.stderr
    assert [trial["status"] for trial in trials(done)] == ["finished", "finished"]
    assert [run.info.status for run in bench.runs()] == ["FINISHED", "FINISHED"]


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("ray", "ray_cluster"):
        monkeypatch.delitem(sys.modules, f"benchbench.executors.{name}")
    with pytest.raises(BenchError, match="needs the package ray") as caught:
        importlib.import_module("benchbench.executors.ray")
    assert "pip install -e '.[ray]'" in str(caught.value.hint)


@pytest.mark.parametrize("is_there_before", [False, True])
def test_an_executor_that_cannot_be_made_ends_the_ray_that_it_started_and_no_other(
    monkeypatch: pytest.MonkeyPatch, *, is_there_before: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr("ray.is_initialized", lambda: is_there_before)
    monkeypatch.setattr("ray.init", lambda **_: calls.append("init"))
    monkeypatch.setattr("ray.shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"memory": 1.0}}])
    with pytest.raises(DeviceError, match="no node"):
        RayExecutor()
    assert calls == ([] if is_there_before else ["init", "shutdown"])


def test_an_interrupt_while_an_executor_closes_leaves_no_ray_running(
    executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    calls: list[str] = []
    executor._is_ours = True
    with monkeypatch.context() as context:
        context.setattr("ray.kill", interrupt)
        context.setattr("ray.shutdown", lambda: calls.append("shutdown"))
        with pytest.raises(KeyboardInterrupt):
            executor.close()
    executor._is_ours = False
    assert calls == ["shutdown"]


@pytest.mark.parametrize("address", ["ray://localhost:10001", "localhost:1", "nonsense"])
def test_an_address_that_is_of_no_use_is_an_error_that_names_it(address: str) -> None:
    with pytest.raises(SpecError, match=address):
        connect(address, num_jobs=1)


@pytest.mark.parametrize(("usable", "num_jobs", "num_cpus"), [(3.5, None, 3), (3.5, 2, 3), (3.5, 5, 5), (0.5, None, 1)])
def test_ray_on_this_machine_gets_no_processor_that_this_process_may_not_use(
    monkeypatch: pytest.MonkeyPatch, usable: float, num_jobs: int | None, num_cpus: int
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("benchbench.executors.ray_cluster.num_processors", lambda: usable)
    monkeypatch.setattr("ray.init", lambda **options: asked.update(options))
    connect(None, num_jobs=num_jobs)
    assert asked["num_cpus"] == num_cpus


def test_a_grid_uses_the_cluster_at_the_address_that_it_is_given(tmp_path: Path, empty_database: Path) -> None:
    import ray

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    bench = Bench(tmp_path, tmp_path / "cache")
    bench.write("grid.toml", 'model = "tiny"\ndataset = "digits"\nepochs = 1\nbatch_size = 100\n')
    words = ("grid", "grid.toml", "--plugins", PLUGINS / "tiny.py", "--executor", "ray", "--artifacts", "none")
    used = bench(*words, "--address", ray.get_runtime_context().gcs_address)
    assert used.returncode == 0, used.stderr
    assert [run.info.status for run in bench.runs()] == ["FINISHED"]


@pytest.mark.parametrize(
    ("nodes", "num_jobs", "use_gpus", "expected"),
    [
        ([(8, 0)], None, True, Slots(num_jobs=1, cores=8, gpus=0)),
        ([(8, 0)], 3, True, Slots(num_jobs=3, cores=2, gpus=0)),
        ([(2, 0)], 5, True, Slots(num_jobs=2, cores=1, gpus=0)),
        ([(16, 4)], None, True, Slots(num_jobs=4, cores=4, gpus=1)),
        ([(16, 4)], None, False, Slots(num_jobs=1, cores=16, gpus=0)),
        ([(16, 4)], 9, True, Slots(num_jobs=4, cores=4, gpus=1)),
        ([(0, 0), (16, 0), (4, 0)], None, True, Slots(num_jobs=2, cores=8, gpus=0)),
        ([(16, 2), (4, 0)], None, True, Slots(num_jobs=2, cores=8, gpus=1)),
    ],
)
def test_all_trials_get_the_same_cores_and_as_many_as_there_are(
    *, nodes: list[tuple[int, int]], num_jobs: int | None, use_gpus: bool, expected: Slots
) -> None:
    resources = [{"CPU": float(cores), "GPU": float(gpus)} for cores, gpus in nodes]
    assert divide(resources, num_jobs=num_jobs, use_gpus=use_gpus) == expected


def test_a_cluster_without_a_processor_is_refused() -> None:
    with pytest.raises(DeviceError, match="no node"):
        divide([{"memory": 1.0}], num_jobs=1, use_gpus=False)


def test_the_folder_of_a_trial_that_did_not_begin_goes_unless_its_retry_needs_it(
    executor: RayExecutor, tmp_path: Path
) -> None:
    (tmp_path / "trial").mkdir()
    job = TrialJob(journals.SPEC, "1", "nowhere", str(tmp_path / "trial"))
    not_asked: Any = None
    retry = _Task(job, not_asked)
    executor._running.add(retry)
    executor._remove_empty_folder(job.folder)
    assert (tmp_path / "trial").is_dir()
    executor._running.clear()
    executor._remove_empty_folder(job.folder)
    assert not (tmp_path / "trial").exists()
