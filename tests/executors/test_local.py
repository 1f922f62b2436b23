"""Real worker processes: what they send, how their end is noticed, and that none outlives its driver."""

import os
import signal
import subprocess
import sys
import textwrap
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import SpecError
from benchbench.executors.local import LocalExecutor
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Output, Refused, Status
from benchbench.records.events import Failed, Finished
from benchbench.records.record import Record

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_cache", "new_workers")]
PLUGIN_FILES = [str(PLUGINS / name) for name in ("tiny.py", "unruly.py")]
ROOTS = {"digits": "nowhere"}
SHIPPED = ("digits", "no_augmentation", "cross_entropy", "sgd", "constant")
NEEDED = [*(f"benchbench:{name}" for name in SHIPPED), *PLUGIN_FILES]


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(plugin_files=PLUGIN_FILES) as made:
        yield made


def draft(model: object = "tiny", **more: Any) -> Draft:
    return Draft.from_toml({"model": model, "dataset": "digits", "epochs": 1, "batch_size": 100} | more)


def unruly(vice: str) -> Draft:
    return draft({"name": "unruly", "vice": vice})


def jobs(executor: LocalExecutor, folder: Path, *drafts: Draft) -> deque[TrialJob]:
    specs = [resolved.spec for resolved in executor.resolve(drafts, data_roots=ROOTS, origins=NEEDED)]
    return deque(
        TrialJob(
            spec=spec,
            attempt=str(number),
            data_root="nowhere",
            folder=str(folder / spec.id[:16] / str(number)),
            training=TrainingOptions(device="cpu", artifacts="none"),
        )
        for number, spec in enumerate(specs)
    )


def test_one_worker_serves_trial_after_trial_and_survives_what_they_do(executor: LocalExecutor, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"optimizer\.lr"):
        jobs(executor, tmp_path, draft(optimizer={"name": "sgd", "lr": "fast"}))
    heard: dict[str, list[object]] = {}
    vices = ("raises", "build", "meddles", "talks")
    given = jobs(executor, tmp_path, draft(), *map(unruly, vices), draft())
    for job, message in executor.run(given):
        heard.setdefault(job.attempt, []).append(message)
    ends = [heard[attempt][-1] for attempt in sorted(heard)]
    assert [type(end) for end in ends] == [Finished, Failed, Refused, Finished, Finished, Finished]
    assert isinstance(ends[2], Refused)
    assert "ValueError: this cannot be built" in ends[2].reason.traceback
    finals = [end.final for end in ends if isinstance(end, Finished)]
    assert finals[0] == finals[-1], "what ran between two equal trials must not change the second"
    printed = [message.text for message in heard["4"] if isinstance(message, Output)]
    assert any("a plugin may well print" in text for text in printed), "output, and never an answer"


def test_what_a_plugin_prints_while_its_images_are_read_is_heard(tmp_path: Path) -> None:
    file = str(PLUGINS / "loud_images.py")
    said: list[Status | Output] = []
    given = Draft.from_toml({"model": "tiny", "dataset": "loud_images", "augmentation": "none"})
    with LocalExecutor(plugin_files=[*PLUGIN_FILES, file]) as executor:
        roots = {"loud_images": str(tmp_path)}
        executor.resolve([given], data_roots=roots, origins=[*NEEDED, file], hear=said.append)
    assert Output("left out 40 files") in said


def test_a_killed_worker_is_reported_and_replaced(executor: LocalExecutor, tmp_path: Path) -> None:
    given = jobs(executor, tmp_path, unruly("dies"), draft())
    heard = list(executor.run(given))
    deaths = [message for job, message in heard if isinstance(message, Died) and job.attempt == "0"]
    assert len(deaths) == 1
    assert "killed by the system" in deaths[0].reason
    assert isinstance(heard[-1][1], Finished)


def test_a_stop_ends_the_running_trial_and_starts_no_other(executor: LocalExecutor, tmp_path: Path) -> None:
    given = jobs(executor, tmp_path, draft(epochs=10_000), draft())
    told = []
    for job, message in executor.run(given):
        told.append((job, message))
        if getattr(message, "event", "") == "started":
            executor.stop()
    assert isinstance(told[-1][1], Failed)
    assert told[-1][1].status == "killed"
    assert {job.attempt for job, _ in told} == {"0"}
    assert len(given) == 1, "the second is still waiting"
    assert Record.of(message for _, message in told if hasattr(message, "event")).status == "killed"


def test_a_worker_ends_when_its_driver_is_killed_in_the_middle_of_a_trial(workdir: Path) -> None:
    program = workdir / "driver.py"
    program.write_text(
        textwrap.dedent(f"""
            from collections import deque

            from benchbench.executors.local import LocalExecutor
            from benchbench.protocol.jobs import TrialJob
            from benchbench.config.spec import Draft
            from benchbench.config.training_options import TrainingOptions

            table = {{"model": "tiny", "dataset": "digits", "epochs": 100_000}}
            executor = LocalExecutor(plugin_files={PLUGIN_FILES!r})
            (resolved,) = executor.resolve([Draft.from_toml(table)], data_roots={ROOTS!r}, origins={NEEDED!r})
            training = TrainingOptions(device="cpu", artifacts="none")
            order = TrialJob(resolved.spec, "1", "x", "attempts/1", training)
            for _, message in executor.run(deque([order])):
                print(getattr(message, "event", ""), flush=True)
        """)
    )
    driver = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert any("epoch_finished" in line for line in driver.stdout)
    (worker,) = psutil.Process(driver.pid).children()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    _, alive = psutil.wait_procs([worker], timeout=20)
    assert not alive


def test_a_file_in_the_working_folder_is_never_imported_by_a_worker(workdir: Path) -> None:
    (workdir / "torch.py").write_text("raise SystemExit('the working folder was imported')")
    (workdir / "json.py").write_text("raise SystemExit('the working folder was imported')")
    with LocalExecutor(plugin_files=PLUGIN_FILES) as made:
        assert len(made.resolve([draft()], data_roots=ROOTS, origins=NEEDED)) == 1
