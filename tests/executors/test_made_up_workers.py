"""Which worker gets a trial, and what becomes of workers that cannot be used; the workers are made up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support import journals

from benchbench.config.training_options import TrainingOptions
from benchbench.errors import DeviceError, PluginError
from benchbench.executors.local import LocalExecutor
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import Died, Output, Refused, Resolve, ResolvedSpecs, RunTrial, TrialEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchbench.protocol.messages import Request

    Script = Callable[[Request], Iterable[object]]


@dataclass(eq=False)
class MadeUpWorker:
    """Answers each request at once as its script says, and writes down all that is done with it."""

    heard: Any
    environment: dict[str, str]
    script: Script
    calls: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    is_retiring: bool = False
    counter: object = field(default_factory=lambda: SimpleNamespace(num_trained=0, ask_to_stop=lambda: None))

    def ask(self, request: Request) -> None:
        self.requests.append(request)
        for answer in self.script(request):
            self.heard.put((self, answer))

    def death(self) -> Died:
        return Died("killed by the system")

    def finish(self) -> None:
        self.calls.append("finish")

    def close(self) -> None:
        self.calls.append("close")

    def kill(self) -> None:
        self.calls.append("kill")


@dataclass
class Workshop:
    """Makes the workers of an executor, each with the next script; without one left, it raises."""

    scripts: list[Script]
    made: list[MadeUpWorker] = field(default_factory=list)

    def make(self, heard: object, environment: dict[str, str]) -> MadeUpWorker:
        if len(self.made) == len(self.scripts):
            raise OSError("too many open files")
        self.made.append(MadeUpWorker(heard, environment, self.scripts[len(self.made)]))
        return self.made[-1]


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    made = Workshop([])
    monkeypatch.setattr("benchbench.executors.local.WorkerProcess", made.make)
    return made


def silent(_: Request) -> Iterable[object]:
    return ()


def healthy(request: Request) -> Iterable[object]:
    return [TrialEvent(journals.finished())] if isinstance(request, RunTrial) else [ResolvedSpecs((), "cuda")]


def on_cpu(request: Request) -> Iterable[object]:
    return [TrialEvent(journals.finished())] if isinstance(request, RunTrial) else [ResolvedSpecs((), "cpu")]


def dies_in_a_trial(request: Request) -> Iterable[object]:
    return [None] if isinstance(request, RunTrial) else [ResolvedSpecs((), "cuda")]


def dies_at_once(_: Request) -> Iterable[object]:
    return [None]


def refuses(_: Request) -> Iterable[object]:
    """Answer as a worker does that cannot load a plugin, and so is not prepared for a trial either."""
    return [Refused.of(PluginError("tiny.py: invalid syntax"), "")]


def prepared(num_jobs: int = 1) -> LocalExecutor:
    executor = LocalExecutor(num_jobs=num_jobs)
    executor.resolve([], data_roots={}, origins=[])
    return executor


def run(executor: LocalExecutor, names: str, *, device: str = "auto") -> list[str]:
    """Return what is said of trials with these names, such as ``a finished``; of output, the text."""
    jobs = deque(TrialJob(journals.SPEC, name, "nowhere", name, TrainingOptions(device=device)) for name in names)
    return [f"{job.attempt} {_described(message)}" for job, message in executor.run(jobs)]


def _described(message: object) -> str:
    text = message.text if isinstance(message, Output) else type(message).__name__
    return str(getattr(message, "event", text.lower()))


def jobs_of(worker: MadeUpWorker) -> list[TrialJob]:
    """Return the trials that a worker was asked to run."""
    return [request.job for request in worker.requests if isinstance(request, RunTrial)]


def test_a_replacement_that_cannot_load_a_plugin_leaves_all_trials_to_the_others(workshop: Workshop) -> None:
    workshop.scripts = [dies_in_a_trial, healthy, refuses]
    assert run(prepared(num_jobs=2), "abcde") == [
        "a died",
        "b finished",
        "c a worker cannot be replaced, and the others go on: tiny.py: invalid syntax",
        "c finished",
        "d finished",
        "e finished",
    ]
    assert jobs_of(workshop.made[2]) == []
    assert workshop.made[2].calls == ["close"]


def test_a_replacement_that_dies_before_it_is_prepared_takes_no_trial_from_the_others(workshop: Workshop) -> None:
    workshop.scripts = [dies_in_a_trial, healthy, dies_at_once]
    said = run(prepared(num_jobs=2), "abcd")
    assert [line for line in said if "cannot be replaced" not in line] == [
        "a died",
        *(f"{name} finished" for name in "bcd"),
    ]


def test_if_the_only_worker_cannot_be_replaced_what_waits_is_refused_and_a_later_run_tries_again(
    workshop: Workshop,
) -> None:
    workshop.scripts = [dies_in_a_trial, refuses, healthy]
    executor = prepared()
    assert run(executor, "abc") == ["a died", "b refused", "c refused"]
    assert run(executor, "bc") == ["b finished", "c finished"]


def test_a_replacement_that_dies_before_it_is_prepared_costs_one_trial_and_is_replaced(workshop: Workshop) -> None:
    workshop.scripts = [dies_in_a_trial, dies_at_once, healthy]
    assert run(prepared(), "abc") == ["a died", "b died", "c finished"]


def test_trials_of_one_call_use_the_device_that_the_first_worker_chose(workshop: Workshop) -> None:
    workshop.scripts = [healthy]
    executor = prepared()
    run(executor, "a")
    run(executor, "b", device="cpu")
    assert [job.training.device for job in jobs_of(workshop.made[0])] == ["cuda", "cpu"]


def test_a_replacement_must_have_the_device_that_the_first_worker_chose(workshop: Workshop) -> None:
    workshop.scripts = [dies_in_a_trial, healthy]
    run(prepared(), "ab")
    (preparation,) = (request for request in workshop.made[1].requests if isinstance(request, Resolve))
    assert preparation.device == "cuda"


def test_gpus_of_which_one_does_not_work_are_refused_before_any_trial(workshop: Workshop) -> None:
    workshop.scripts = [healthy, on_cpu]
    executor = LocalExecutor(num_jobs=2, gpus=("0", "GPU-lost"))
    with pytest.raises(DeviceError, match="cpu with CUDA_VISIBLE_DEVICES=GPU-lost"):
        executor.resolve([], data_roots={}, origins=[])


def test_workers_that_started_are_killed_if_another_cannot_start(workshop: Workshop) -> None:
    workshop.scripts = [silent, silent]
    with pytest.raises(OSError, match="too many"):
        LocalExecutor(num_jobs=3)
    assert [worker.calls for worker in workshop.made] == [["kill"], ["kill"]]


def test_all_workers_are_told_to_end_before_one_is_waited_for(workshop: Workshop) -> None:
    workshop.scripts = [silent, silent]
    executor = LocalExecutor(num_jobs=2)
    told: list[list[str]] = []
    first, second = workshop.made
    first.close = lambda: told.append([*first.calls, *second.calls])  # type: ignore[method-assign]
    executor.close()
    assert told == [["finish", "finish"]]
    assert second.calls == ["finish", "close"]


def test_an_interrupt_while_workers_end_kills_all_of_them(workshop: Workshop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    workshop.scripts = [silent, silent]
    executor = LocalExecutor(num_jobs=2)
    workshop.made[0].close = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        executor.close()
    assert [worker.calls[-1] for worker in workshop.made] == ["kill", "kill"]
