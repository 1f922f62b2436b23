"""Timing in the worker: interleaved rounds of variants, and the memory that each needs."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.paths import PLUGINS

from benchbench.compare.timing_ratios import compare_timings
from benchbench.config.spec import Draft
from benchbench.errors import SpecError
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TimingJob
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.protocol.timing_messages import Round, Timing, TimingEnded, Warmed
from benchbench.report.timing_data import measurement_text
from benchbench.worker.batches import Batches
from benchbench.worker.timing import time_variants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchbench.config.spec import Spec
    from benchbench.protocol.timing_messages import TimingEvent

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS / "tiny.py", PLUGINS / "unruly.py"])


def variants(registry: Registry, *, model: object = "tiny", batch_sizes: tuple[int, ...] = (32,)) -> tuple[Spec, ...]:
    """Return SGD and Adam at each batch size."""
    return tuple(
        registry.resolve(
            Draft.from_toml({"model": model, "dataset": "digits", "optimizer": optimizer, "batch_size": batch_size})
        )
        for batch_size in batch_sizes
        for optimizer in ("sgd", "adam")
    )


def job_of(specs: tuple[Spec, ...], *, rounds: int = 3, steps: int | None) -> TimingJob:
    names = tuple(f"{spec.optimizer.name} {spec.batch_size}" for spec in specs)
    return TimingJob(specs, names, rounds, steps, "cpu", {"digits": "nowhere"})


def timing(registry: Registry, folder: Path, job: TimingJob, *, stop_at: int = 0) -> list[TimingEvent]:
    """Return what a worker reports, in this process."""
    counter = SharedCounter(folder / "counter")
    reported = []
    for event in time_variants(job, registry, counter=counter):
        reported.append(event)
        if isinstance(event, Round) and event.number == stop_at:
            counter.ask_to_stop()
    counter.close()
    return reported


@pytest.mark.slow
def test_rounds_measure_every_variant_in_an_order_that_is_reversed_each_time(
    registry: Registry, tmp_path: Path
) -> None:
    statuses: list[str] = []
    specs = variants(registry, batch_sizes=(100,))
    job = job_of(specs, steps=None)

    def note(text: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG001 - how far a status is does not matter here
        statuses.append(text)

    said = list(time_variants(job, registry, counter=SharedCounter(tmp_path / "counter"), on_status=note))
    assert [type(event) for event in said] == [Warmed, Warmed, Round, Round, Round, TimingEnded]
    measured = [status.partition(": ")[2] for status in statuses if status.startswith("round")]
    assert measured == ["sgd 100", "adam 100", "adam 100", "sgd 100", "sgd 100", "adam 100"]
    for event in said:
        if isinstance(event, Warmed):
            assert event.started.spec in specs
            assert event.steps_per_epoch == 15
        if isinstance(event, Round):
            assert event.other_cpu_fraction is None or 0 <= event.other_cpu_fraction <= 1
            for measurement in event.measurements:
                assert measurement.epoch_seconds == measurement.train_seconds + measurement.eval_seconds
                assert measurement.eval_seconds > 0
                assert measurement.images_per_second == pytest.approx(1442 / measurement.train_seconds)


@pytest.mark.slow
def test_a_stop_keeps_the_whole_rounds(registry: Registry, tmp_path: Path) -> None:
    said = timing(registry, tmp_path, job_of(variants(registry), rounds=9, steps=2), stop_at=2)
    assert [event.number for event in said if isinstance(event, Round)] == [1, 2]
    assert said[-1] == TimingEnded(is_stopped=True)


@pytest.mark.slow
def test_more_steps_than_an_epoch_has_are_refused_with_its_number(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--steps 30 is more than an epoch has: 15 at batch size 100"):
        timing(registry, tmp_path, job_of(variants(registry, batch_sizes=(12, 100)), steps=30))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_a_warning_and_no_end(registry: Registry, tmp_path: Path) -> None:
    specs = variants(registry, model={"name": "unruly", "vice": "nan"})
    said = timing(registry, tmp_path, job_of(specs, rounds=1, steps=5))
    assert not any(each.is_finite for event in said if isinstance(event, Round) for each in event.measurements)


@pytest.mark.slow
def test_noisy_rounds_are_counted_and_a_measurement_is_described(registry: Registry, tmp_path: Path) -> None:
    job = job_of(variants(registry), steps=1)
    said = timing(registry, tmp_path, job)
    warmed = tuple(event for event in said if isinstance(event, Warmed))
    rounds = tuple(event for event in said if isinstance(event, Round))
    fractions = (None, 0.5, 0.01)
    made = tuple(
        Round(done.number, done.measurements, fraction) for done, fraction in zip(rounds, fractions, strict=True)
    )
    timed = Timing(job, warmed, made, is_stopped=False)
    assert timed.num_noisy == 1
    assert [done.is_noisy for done in made] == [None, True, False]
    assert measurement_text(timed).startswith("1 training steps")
    assert compare_timings(timed.epoch_seconds, "sgd 32").n == 3


FOOTPRINT = """
import time, torch
from benchbench.worker.memory import SAMPLE_SECONDS, Footprint

before = [torch.ones(20_000_000) for _ in range(3)]
footprint = Footprint(torch.device("cpu"))
with footprint:
    kept = torch.ones(10_000_000)
with footprint:
    passing = torch.ones(25_000_000)
    time.sleep(5 * SAMPLE_SECONDS)  # memory is sampled: a peak of less than that may be missed
    del passing
print(footprint.peak_bytes)
"""


@pytest.mark.slow
def test_a_footprint_is_of_its_own_block_whatever_the_process_held_before() -> None:
    # A process of its own, as a timing has: here, threads of other tests may free memory meanwhile.
    peak = int(subprocess.check_output([sys.executable, "-c", FOOTPRINT], text=True))
    assert 135e6 < peak < 170e6


@pytest.mark.slow
def test_what_an_epoch_does_once_is_not_scaled_with_the_steps(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = Batches.shuffled

    def slowly(self: Batches, *, seed: int, epoch: int) -> Iterator[Any]:
        time.sleep(0.5)
        return shuffled(self, seed=seed, epoch=epoch)

    monkeypatch.setattr(Batches, "shuffled", slowly)
    monkeypatch.setattr("benchbench.worker.timing.train_epoch", lambda *_, **__: SimpleNamespace(loss=0.0))
    said = timing(registry, tmp_path, job_of(variants(registry), rounds=1, steps=1))
    measured = [each.epoch_seconds for event in said if isinstance(event, Round) for each in event.measurements]
    # An epoch has 45 steps, so that half a second is 22 if it is scaled.
    assert all(0.5 <= seconds < 10 for seconds in measured)


COMPILES = """
import torch
from torch import nn

import benchbench as bb


class Net(nn.Module):
    def __init__(self, data, width):
        super().__init__()
        self.hidden = nn.Linear(data.num_inputs, width)
        self.last = nn.Linear(width, data.num_classes)

    def forward(self, images):
        return self.last(self.hidden(images.flatten(1)).relu())


class Compiles(bb.Model, name="compiles"):
    width: int = bb.param(8, "units in the hidden layer")

    def build(self, data):
        return torch.compile(Net(data, self.width), backend="counting")


@bb.hookimpl
def benchbench_models():
    return [Compiles]
"""


@pytest.mark.slow
def test_networks_that_their_plugin_compiles_are_all_timed_compiled(tmp_path: Path) -> None:
    from torch._dynamo import register_backend

    calls = []

    def counting(graph: Any, _: object) -> Callable[..., Any]:
        def run(*inputs: Any) -> Any:
            calls.append(graph)
            return graph(*inputs)

        return run

    register_backend(counting, name="counting")
    (tmp_path / "compiles.py").write_text(COMPILES, encoding="utf-8")
    registry = Registry.load([tmp_path / "compiles.py"])
    widths = (8, 9, 10, 11, 12, 13)
    specs = [variants(registry, model={"name": "compiles", "width": width})[0] for width in widths]
    counter = SharedCounter(tmp_path / "counter")
    *_, ended = time_variants(job_of(tuple(specs), rounds=1, steps=2), registry, counter=counter)
    counter.close()
    assert ended == TimingEnded(is_stopped=False)
    assert len({id(graph) for graph in calls[-2 * len(widths) :]}) == len(widths)
