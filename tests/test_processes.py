"""What processes that were asked answer, and what is said of one that died."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from benchbench.processes import Ended, ask, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Return what asks a process whose answer is the given body of ``respond(request, send)``."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def asked(body: str, request: bytes = b"", on_answer: Callable[[bytes], None] = lambda _: None) -> Ended:
        head = "import os, signal, sys, threading, time\nfrom benchbench.processes import serve\n"
        (tmp_path / "answering.py").write_text(f"{head}def respond(request, send):\n    {body}\nserve(respond)\n")
        return ask("answering", request, on_answer=on_answer)

    return asked


def test_a_process_is_asked_and_answers_whatever_plugins_print(ask_for: Callable[..., Ended]) -> None:
    heard: list[bytes] = []
    request = b"x" * 1_000_000  # more than a pipe or a command line holds
    body = "print('hello'); send(b'%d' % len(request)); send(b'done')"
    done = ask_for(body, request, heard.append)
    assert (done.answers, done.code) == ((b"1000000\n", b"done\n"), 0)
    assert tuple(heard) == done.answers


@pytest.mark.parametrize(
    ("body", "death"),
    [
        ("raise ValueError('no')", "ended with exit code 1: ValueError: no"),
        ("os._exit(0)", "ended with exit code 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended with signal SIGKILL"),
    ],
)
def test_a_process_that_dies_is_told_apart_and_its_answers_are_kept(
    body: str, death: str, ask_for: Callable[..., Ended]
) -> None:
    done = ask_for(f"send(b'begun'); os.write(int(sys.argv[1]), b'half an ans'); {body}")
    assert (done.answers, done.death) == ((b"begun\n",), death)


def test_a_thread_that_a_plugin_started_does_not_keep_the_answer_waiting(ask_for: Callable[..., Ended]) -> None:
    assert ask_for("threading.Thread(target=time.sleep, args=[600]).start(); send(b'done')").answers == (b"done\n",)


def test_a_process_that_a_plugin_forked_does_not_keep_the_answer_waiting(ask_for: Callable[..., Ended]) -> None:
    body = "os.fork() or (time.sleep(20), os._exit(0)); send(b'done')"
    began = time.monotonic()
    assert ask_for(body).answers == (b"done\n",)
    assert time.monotonic() - began < 15


def test_helpers_of_a_plugin_end_with_the_process_that_answers(ask_for: Callable[..., Ended]) -> None:
    helper = "multiprocessing.get_context('fork').Process(target=time.sleep, args=[600], daemon=True)"
    body = f"import multiprocessing; helper = {helper}; helper.start(); send(b'%d' % helper.pid)"
    (pid,) = map(int, ask_for(body).answers)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)


def test_an_interrupted_question_ends_the_process(ask_for: Callable[..., Ended]) -> None:
    pids: list[int] = []

    def interrupt(answer: bytes) -> None:
        pids.append(int(answer))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_for("send(b'%d' % os.getpid()); time.sleep(600)", b"", interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.parametrize(
    ("output", "lines"),
    [(b"", ()), (b" \n", ()), (b"one\ntwo \n\n", ("one", "two")), (b"\xff\n", ("\ufffd",)), (b"a\n" * 9, ("a",) * 5)],
)
def test_the_last_lines_of_an_output_are_what_was_said_last(output: bytes, lines: tuple[str, ...]) -> None:
    assert last_lines(output) == lines
