"""Who is alive: decided by locks that the system drops, and across hosts by signs of life."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support import journals

from benchbench.records.calls import NOBODY, SIGN_SECONDS, Call, calling, drop_dead
from benchbench.records.claim import Claim
from benchbench.records.host_identity import Host, this_host
from benchbench.records.journal import Journal
from benchbench.records.recovery import mark_dead
from benchbench.records.state import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
from benchbench.records.calls import calling
with calling() as call:
    print(call.id, flush=True)
    input()
"""
ASK = """
import sys
from benchbench.records.calls import Call
print(Call(*sys.argv[1:]).is_alive(watch_seconds=0))
"""
OTHER_KERNEL = "another host"


def running(call: Call) -> Journal:
    """Return the journal of a trial that a call runs."""
    journal = Journal.of(journals.SPEC.id, "20260101-000000-abcdef01")
    journal.append(journals.started())
    journal.set_claim(Claim("sqlite:///mlflow.db", "bench", "1", call))
    return journal


def hold() -> tuple[subprocess.Popen[str], Call]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Call(process.stdout.readline().strip(), this_host().kernel)


def ask(call: Call, *prefix: str) -> str:
    """Ask another process whether a call is alive."""
    command = [*prefix, sys.executable, "-c", ASK, call.id, call.kernel]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_call_is_alive_until_it_ends_and_leaves_nothing() -> None:
    with calling() as call:
        assert call.is_alive()
        assert ask(call) == "True"
    assert not call.is_alive()
    assert list((state_folder() / "calls").iterdir()) == []


def test_a_call_that_is_killed_is_dead_at_once() -> None:
    process, call = hold()
    assert call.is_alive()
    journal = running(call)
    assert mark_dead() == []
    process.kill()
    process.communicate()
    assert mark_dead() == [journal]
    record = journal.record()
    assert record.status == "killed"
    assert record.error is not None
    assert "ended unexpectedly" in record.error.message


def test_a_listing_in_another_container_leaves_a_living_trial_alone() -> None:
    namespace = ("unshare", "--pid", "--uts", "--fork")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a PID namespace")
    with calling() as call:
        assert ask(call, *namespace) == "True"
    assert ask(call, *namespace) == "False"


@contextmanager
def signs_of_life(path: Path) -> Iterator[None]:
    """Write something else into a file again and again, as the thread of a call does."""
    has_ended = threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            path.write_text(str(number), encoding="ascii")
            if has_ended.wait(0.2):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        has_ended.set()
        writer.join()


def test_a_lock_counts_whatever_kernel_is_named() -> None:
    with calling() as call:
        assert replace(call, kernel=OTHER_KERNEL).is_alive(watch_seconds=0)


def test_a_call_of_another_host_lives_as_long_as_it_gives_signs_of_life() -> None:
    call = Call("0123456789abcdef", OTHER_KERNEL)
    path = state_folder() / "calls" / f"{call.id}.alive"
    path.parent.mkdir(parents=True)
    path.write_text("0", encoding="ascii")
    with signs_of_life(path):
        assert call.is_alive()
    call.is_alive(watch_seconds=0)  # it may have given one more sign meanwhile
    assert not call.is_alive(watch_seconds=0.5)


def test_a_sign_of_life_does_not_keep_a_dead_call_of_this_host_alive() -> None:
    call = Call("0123456789abcdef", this_host().kernel)
    path = state_folder() / "calls" / f"{call.id}.alive"
    path.parent.mkdir(parents=True)
    path.write_text("1", encoding="ascii")
    assert not call.is_alive()
    assert not NOBODY.is_alive()


def test_dead_calls_of_other_hosts_are_watched_at_the_same_time() -> None:
    calls = [still(f"{number:016x}", OTHER_KERNEL) for number in range(5)]
    began = time.monotonic()
    assert [call.is_alive(watch_seconds=1) for call in calls] == [False] * 5
    assert 1 <= time.monotonic() - began < 3


def test_a_host_that_was_restarted_waits_for_none_of_its_earlier_calls() -> None:
    call = still("00000000000000a0", "before the restart", "this host")
    assert not call.is_alive(watch_seconds=3600, here=Host("after the restart", "this host"))


def test_a_call_of_another_host_with_the_same_name_is_watched_if_that_name_says_nothing() -> None:
    call = still("00000000000000a1", OTHER_KERNEL)
    with signs_of_life(state_folder() / "calls" / f"{call.id}.alive"):
        assert call.is_alive(here=Host("this kernel"))


def still(name: str, kernel: str, host: str = "") -> Call:
    """Return a call that gives no sign of life and whose lock is free."""
    path = state_folder() / "calls" / f"{name}.alive"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1", encoding="ascii")
    return Call(name, kernel, host)


def test_a_call_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.records.calls.SIGN_SECONDS", SIGN_SECONDS / 20)
    with calling() as call:
        path = state_folder() / "calls" / f"{call.id}.alive"
        before, deadline = path.read_bytes(), time.monotonic() + 5 * SIGN_SECONDS
        while path.read_bytes() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert path.read_bytes() != before


def test_asking_writes_nothing(tmp_path: Path) -> None:
    assert not Call("0123456789abcdef", OTHER_KERNEL).is_alive()
    assert not state_folder().exists()
    with calling() as call:
        names = sorted((state_folder() / "calls").iterdir())
        assert call.is_alive()
        assert sorted((state_folder() / "calls").iterdir()) == names
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kernel", "kept"), [("", ["lock"]), ("-here", [])])
def test_the_files_of_dead_calls_are_deleted_but_no_lock_of_another_host(kernel: str, kept: list[str]) -> None:
    dead, asked = (Call(f"{name}{kernel}", kernel and this_host().kernel) for name in ("dead", "asked"))
    folder = state_folder() / "calls"
    folder.mkdir(parents=True)
    for call in (dead, asked):
        for ending in ("lock", "alive"):
            (folder / f"{call.id}.{ending}").touch()
        assert not call.is_alive(watch_seconds=0)
    drop_dead(but=[asked])
    assert {path.suffix[1:] for path in folder.glob("dead*")} == set(kept)
    assert len(list(folder.glob("asked*"))) == 2


def test_a_call_that_was_taken_for_dead_is_seen_alive_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbench.records.calls.SIGN_SECONDS", 0.05)
    with calling() as call:
        for ending in ("lock", "alive"):
            (state_folder() / "calls" / f"{call.id}.{ending}").unlink()
        time.sleep(0.5)
        assert call.is_alive(here=Host(OTHER_KERNEL))
