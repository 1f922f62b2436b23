"""Messages between driver and worker: what is written is read back, and nobody else gets the line."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.journals import started

from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import DeviceError
from benchbench.protocol.channel import Channel
from benchbench.protocol.jobs import Resolved, TimingJob, TrialJob
from benchbench.protocol.messages import (
    Output,
    Refused,
    Resolve,
    ResolvedSpecs,
    Retiring,
    RunTrial,
    Status,
    TimeVariants,
    TimingUpdate,
    TrialEvent,
    decode,
    encode,
)
from benchbench.protocol.timing_messages import Measurement, Round, TimingEnded, Warmed

if TYPE_CHECKING:
    from benchbench.protocol.messages import Answer, Request

STARTED = started()
SPEC = STARTED.spec
DRAFT = Draft.from_toml({"model": {"name": "tiny", "width": 3}, "dataset": "digits"})
MEASUREMENT = Measurement(1.5, 1.0, 0.5, 1e4, is_finite=False)
MESSAGES: tuple[Request | Answer, ...] = (
    Resolve((DRAFT,), {"digits": "nowhere"}, ("tiny.py",), None),
    Resolve((), {}, (), ("benchbench:digits",), "cuda"),
    RunTrial(TrialJob(SPEC, "1", "nowhere", "folder", TrainingOptions(device="cpu", checkpoint_every=0.5))),
    TimeVariants(TimingJob((SPEC,), ("sgd",), 3, None, "cpu", {"digits": "nowhere"})),
    ResolvedSpecs((Resolved(SPEC, "digest", {"model": "source"}),), "cuda"),
    TrialEvent(STARTED),
    TimingUpdate(Warmed(STARTED, 15, 2**40, "sampled")),
    TimingUpdate(Round(1, (MEASUREMENT, replace(MEASUREMENT, is_finite=True)), 0.25)),
    TimingUpdate(TimingEnded(is_stopped=True)),
    Status("a line\nand another\u2028and \x85 a third"),
    Output("\u00fc \U0001f600"),
    Refused.of(DeviceError("no GPU", hint="use the CPU"), "Traceback"),
    Retiring(),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_one_line_and_is_read_back_as_it_was(message: Request | Answer) -> None:
    assert "\n" not in encode(message)
    assert decode(encode(message)) == message


def test_numbers_that_are_not_finite_cross() -> None:
    message = decode(encode(TimingUpdate(Round(1, (replace(MEASUREMENT, epoch_seconds=math.inf),), math.nan))))
    assert isinstance(message, TimingUpdate)
    assert isinstance(message.event, Round)
    assert message.event.measurements[0].epoch_seconds == math.inf
    assert message.event.other_cpu_fraction is not None
    assert math.isnan(message.event.other_cpu_fraction)


def test_a_text_with_bytes_that_are_no_utf8_crosses() -> None:
    message = decode(encode(Status(os.fsdecode(b"file \xff"))))
    assert message == Status("file ?")


def test_a_refusal_is_the_error_that_it_was_made_of() -> None:
    refused = decode(encode(Refused.of(DeviceError("no GPU", hint="use the CPU"), "Traceback ...")))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, DeviceError)
    assert (refused.error.message, refused.error.hint) == ("no GPU", "use the CPU")
    assert refused.error.__notes__ == ["Traceback ..."]


def test_messages_of_any_length_come_in_their_order_until_the_other_side_ends() -> None:
    import threading

    ours, theirs = map(Channel, socket.socketpair())
    sent = [Output("x" * length) for length in (0, 1, 70_000, 300_000, 2)]

    def send() -> None:
        for message in sent:
            theirs.send(message)
        theirs.finish()

    thread = threading.Thread(target=send)
    thread.start()
    assert list(ours.messages()) == sent
    thread.join()
    ours.close()
    theirs.close()


def test_neither_a_forked_child_nor_a_started_program_keeps_the_line_open() -> None:
    ours, theirs = map(Channel, socket.socketpair())
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    theirs.close()
    assert list(ours.messages()) == [], "the child must not have the other end"
    os.close(write)
    os.waitpid(child, 0)
    program.communicate(b"\n")
    ours.close()
