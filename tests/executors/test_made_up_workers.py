"""Which worker gets a trial, and what becomes of workers that cannot be used; the workers are made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from benchbench.executors.local import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchbench.protocol.messages import Request

    Script = Callable[[Request], Iterable[object]]


@dataclass(eq=False)
class MadeUpWorker:
    """Answers each request at once as its script says, and writes down all that is done with it."""

    heard: object
    environment: dict[str, str]
    script: Script
    calls: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    is_retiring: bool = False
    heartbeat: object = field(default_factory=lambda: SimpleNamespace(num_trained=0, ask_to_stop=lambda: None))

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


def silent(request: Request) -> Iterable[object]:
    return ()


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
