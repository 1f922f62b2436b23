"""What a worker answers, asked in this process."""

from __future__ import annotations

import errno
import queue
import socket
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from support.paths import PLUGINS

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import DeviceError, StoppedError
from benchbench.protocol.channel import Channel
from benchbench.protocol.jobs import TrialJob
from benchbench.protocol.messages import (
    Refused,
    Resolve,
    ResolvedSpecs,
    Retiring,
    RunTrial,
    Status,
    TrialEvent,
    encode,
)
from benchbench.worker.main import Worker, _read

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.protocol.messages import Answer, Request
    from benchbench.protocol.shared_counter import SharedCounter

FILES = (str(PLUGINS / "tiny.py"), str(PLUGINS / "unruly.py"))


def answers(counter: SharedCounter, folder: Path, *, works: bool, **model: Any) -> list[Answer]:
    """Return what a worker says when it is asked to resolve and to run one trial, but for its status."""
    said: list[Answer] = []
    worker = Worker(said.append, counter, device_works=lambda: works)
    draft = Draft.from_toml({"model": {"name": "unruly"} | model, "dataset": "digits", "epochs": 1, "batch_size": 100})
    worker.answer(Resolve((draft,), {"digits": "nowhere"}, FILES, None))
    resolved = said.pop()
    assert isinstance(resolved, ResolvedSpecs)
    (one,) = resolved.resolved
    training = TrainingOptions(device="cpu", artifacts="none")
    worker.answer(RunTrial(TrialJob(one.spec, "1", "nowhere", str(folder / "trial" / "1"), training)))
    return [answer for answer in said if not isinstance(answer, Status)]


def test_a_worker_whose_gpu_is_lost_says_that_it_retires_before_the_trial_ends(
    counter: SharedCounter, tmp_path: Path
) -> None:
    *_, retiring, failed = answers(counter, tmp_path, works=False, vice="raises")
    assert retiring == Retiring()
    assert isinstance(failed, TrialEvent)
    assert failed.event.event == "failed"
    *_, retiring, refused = answers(counter, tmp_path, works=False, vice="build")
    assert retiring == Retiring()
    assert isinstance(refused, Refused)


def test_a_worker_whose_device_works_goes_on(counter: SharedCounter, tmp_path: Path) -> None:
    assert Retiring() not in answers(counter, tmp_path, works=True, vice="raises")


def test_a_trial_that_has_ended_has_no_further_answer(
    counter: SharedCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(FileLock, "release", fail)  # as if the lock lay on a network drive that has gone
    *_, last = answers(counter, tmp_path, works=True, vice="raises")
    assert isinstance(last, TrialEvent)
    assert "Stale file handle" in capsys.readouterr().err


def test_a_worker_that_was_not_prepared_refuses_to_run(counter: SharedCounter) -> None:
    said: list[Answer] = []
    job = TrialJob(None, "1", "nowhere", "nowhere")  # type: ignore[arg-type]
    Worker(said.append, counter).answer(RunTrial(job))
    (refused,) = said
    assert isinstance(refused, Refused)
    assert "must resolve" in refused.error.message


def test_a_worker_without_the_device_of_its_call_is_not_prepared(
    counter: SharedCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Answer] = []
    worker = Worker(said.append, counter)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    worker.answer(Resolve((), {}, (), ()))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    worker.answer(Resolve((), {}, (), (), device="cuda"))
    ready, refused = said
    assert ready == ResolvedSpecs((), "cuda")
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, DeviceError)


def test_a_request_that_cannot_be_read_is_the_last_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair()
    requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
    channel = Channel(theirs)
    with ours:
        ours.sendall(encode(Resolve((), {}, (), None)).encode() + b'\n{"message": "dance"}\n')
        _read(channel, requests)
    channel.close()
    assert [requests.get(timeout=1), requests.get(timeout=1)] == [Resolve((), {}, (), None), None]
    assert "ValidationError" in capsys.readouterr().err


def test_a_request_to_stop_ends_work_that_counts_its_pieces(counter: SharedCounter) -> None:
    said: list[Answer] = []
    worker = Worker(said.append, counter)
    worker._on_status("decoding photos", 1, 3)
    counter.ask_to_stop()
    worker._on_status("loading photos")
    with pytest.raises(StoppedError):
        worker._on_status("decoding photos", 2, 3)
    assert said == [Status("decoding photos", 1, 3), Status("loading photos"), Status("decoding photos", 2, 3)]


PHOTOS = """
import numpy as np
import benchbench as bb

class Photos(bb.Dataset, name="photos"):
    def sources(self, root):
        return ()

    def load(self, root):
        def part(first):
            read = lambda row: np.full((3, 8, 8), 5 * (first + row), dtype=np.uint8)
            return bb.Split(bb.LazyImages(read, (8, 3, 8, 8), ("x",) * 8), np.arange(8) % 2)
        return bb.Splits(part(0), part(10), part(20), ("a", "b"))

@bb.hookimpl
def benchbench_datasets():
    return [Photos]
"""


def test_decoding_for_the_digest_says_how_far_it_is(counter: SharedCounter, tmp_path: Path) -> None:
    file = tmp_path / "photos.py"
    file.write_text(PHOTOS)
    said: list[Answer] = []
    draft = Draft.from_toml({"model": "tiny", "dataset": {"name": "photos", "image_size": 8}})
    Worker(said.append, counter).answer(Resolve((draft,), {"photos": "nowhere"}, (str(file), *FILES), None))
    *statuses, last = said
    assert isinstance(last, ResolvedSpecs)
    assert statuses
    assert all(isinstance(said, Status) and said.text == "decoding photos" and said.total == 24 for said in statuses)
