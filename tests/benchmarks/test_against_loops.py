"""A step and an epoch against the loops that people write."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
from benchmarks.interleaved_rounds import CLOCK, InterleavedRounds, Sample, column, reported
from benchmarks.ratios import Aim, NotRun, Row

from benchbench.worker.accelerate import possible_precisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Loop = Callable[..., Sample]

pytestmark = pytest.mark.benchmark(timer=CLOCK)
NUM_TRAIN = 4000
NUM_STEPS, NUM_STEPS_QUICK = 60, 4
PLAIN = "plain loop"
MEMORY = Aim(minimum=1 / 1.1, goal=1.0)
NO_BF16 = "this processor has no bf16 instructions"


@dataclass(frozen=True)
class Case:
    """A training that has aims; ``is_whole`` where an epoch is timed, and not some of its steps."""

    name: str
    options: tuple[str, ...]
    fp32: Aim
    bf16: Aim | None
    is_whole: bool = False
    rounds: int = 4


CASES = (
    Case("AlexNet, batch 12", (), Aim(2.1, 2.4), Aim(2.5, 2.8), is_whole=True, rounds=3),
    Case("AlexNet, batch 32", ("--batch-size", "32"), Aim(1.6, 1.8), Aim(2.0, 2.2)),
    Case("AlexNet, batch 12, Adam", ("--optimizer", "adam"), Aim(2.5, 3.3), None),
    Case(
        "resnet18 of timm, batch 32, 64x64",
        ("--model", "resnet18", "--image-size", "64", "--batch-size", "32"),
        Aim(1.1, 1.2),
        Aim(1.7, 2.0),
    ),
)


@pytest.fixture(scope="session")
def loop(tinyimage10_zip: Path, images: Path, shared_cache: Path) -> Loop:
    """Return what runs a loop in a process of its own and returns the sample of an epoch."""

    def run(script: str, *options: str) -> Sample:
        paths = ("--folder", images, "--archive", tinyimage10_zip)
        sample = reported(script, *paths, *options, BENCH_CACHE=str(shared_cache))
        return sample | {"seconds": NUM_TRAIN / sample["images_per_second"] + sample["eval_seconds"]}

    run("ours.py", "--steps", "1")  # decodes the images, so that the first round is like the others
    return run


def steps(*, quick: bool, is_whole: bool = False) -> tuple[str, ...]:
    if quick:
        return ("--steps", str(NUM_STEPS_QUICK))
    return () if is_whole else ("--steps", str(NUM_STEPS))


def can_bf16() -> bool:
    return "bf16" in possible_precisions(torch.device("cpu"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_epoch_against_a_plain_loop(
    case: Case, rounds: InterleavedRounds, loop: Loop, rows: list[Row | NotRun]
) -> None:
    options = (*case.options, *steps(quick=rounds.quick, is_whole=case.is_whole))
    sides = {PLAIN: partial(loop, "plain.py", *options)}
    if case.bf16 and can_bf16():
        sides["bf16"] = partial(loop, "ours.py", *options, "--precision", "bf16")
    ours, others = rounds(partial(loop, "ours.py", *options), sides, rounds=case.rounds)

    plain = others[PLAIN]
    rows.append(Row(f"epoch, {case.name}, fp32", PLAIN, column(ours), column(plain), aim=case.fp32))
    if "bf16" in others:
        rows.append(
            Row(f"epoch, {case.name}, bf16", f"{PLAIN}, fp32", column(others["bf16"]), column(plain), aim=case.bf16)
        )
    elif case.bf16:
        rows.append(NotRun(f"epoch, {case.name}, bf16", NO_BF16))
    ours_bytes, plain_bytes = (column(samples, "peak_bytes") for samples in (ours, plain))
    rows.append(Row(f"peak memory, {case.name}, fp32", PLAIN, ours_bytes, plain_bytes, "MiB", MEMORY))


def test_a_bf16_epoch_against_a_plain_loop_with_autocast(
    rounds: InterleavedRounds, loop: Loop, rows: list[Row | NotRun]
) -> None:
    measured = "epoch, AlexNet, batch 12, bf16"
    if not can_bf16():
        rows.append(NotRun(f"{measured}, against autocast", NO_BF16))
        pytest.skip(NO_BF16)
    options = ("--precision", "bf16", *steps(quick=rounds.quick))
    against = f"{PLAIN}, bf16 autocast"
    ours, others = rounds(partial(loop, "ours.py", *options), {against: partial(loop, "plain.py", *options)}, rounds=4)
    rows.append(Row(measured, against, column(ours), column(others[against])))


@pytest.mark.parametrize(
    ("name", "module", "script"),
    [("timm's loader", "timm", "with_timm_loader.py"), ("Lightning", "lightning", "with_lightning.py")],
)
def test_an_epoch_against_other_libraries(
    name: str, module: str, script: str, rounds: InterleavedRounds, loop: Loop, rows: list[Row | NotRun]
) -> None:
    measured = "epoch, AlexNet, batch 12, fp32"
    if importlib.util.find_spec(module) is None:
        why = f"{module} is not installed; the extra benchbench[bench] has it"
        rows.append(NotRun(f"{measured}, against {name}", why))
        pytest.skip(why)
    options = steps(quick=rounds.quick)
    ours, others = rounds(partial(loop, "ours.py", *options), {name: partial(loop, script, *options)}, rounds=3)
    rows.append(Row(measured, name, column(ours), column(others[name])))
