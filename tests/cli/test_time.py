"""``bench time`` as a user types it, and the worker's side of it."""

from __future__ import annotations

import json
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import Bench
from support.paths import PLUGINS
from typer.testing import CliRunner

from benchbench.cli.main import make_app
from benchbench.compare.timings import compare_timings
from benchbench.driver.variants import Wanted, name_variants, read_accelerate, read_variants
from benchbench.errors import DeviceError, SpecError, TrialError
from benchbench.plugin.registry import Registry
from benchbench.protocol.heartbeat import Heartbeat
from benchbench.protocol.jobs import TimingJob
from benchbench.protocol.timing import Round, Timing, TimingEnded, Warmed
from benchbench.report.timings import measurement_text
from benchbench.tracking.records import read_experiment
from benchbench.worker.memory import SAMPLE_SECONDS, Footprint
from benchbench.worker.timing import time_variants

if TYPE_CHECKING:
    from pathlib import Path

    from benchbench.config.spec import Spec
    from benchbench.protocol.timing import TimingEvent

TINY = ("time", "tiny", "digits", "--plugins", PLUGINS / "tiny.py")
FILE = """
model = "tiny"
dataset = "digits"
plugins = ["{plugins}/tiny.py"]
batch_size = 100
seeds = [0, 1]
optimizer = {{ grid = ["sgd", "adam"] }}
{more}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Bench:
    folder = tmp_path_factory.mktemp("time")
    shutil.copy(empty_database, folder / "mlflow.db")
    return Bench(folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def timed(bench: Bench) -> dict[str, Any]:
    """Return what a timing prints as JSON; it leaves runs in MLflow as well."""
    options = ("-b", 100, "--rounds", 4, "--steps", 3, "--baseline", "adam", "--json")
    done = bench(*TINY, "-o", "sgd,adam", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert "round 4/4: sgd" in done.stderr
    return found


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([PLUGINS / "tiny.py", PLUGINS / "unruly.py"])


def variants(
    registry: Registry, asked: Wanted, *, by: tuple[str, ...] = (), baseline: str | None = None
) -> tuple[tuple[Spec, ...], tuple[str, ...], str]:
    grid = read_variants(asked)
    specs = [registry.resolve(draft) for draft in grid.expand()]
    named = name_variants(specs, grid, accelerate=read_accelerate(asked), by=by, baseline=baseline)
    return named.specs, named.names, named.baseline


def words(target: str = "tiny", dataset: str | None = "digits", **more: Any) -> Wanted:
    return Wanted(target=target, dataset=dataset, **more)


def timing(
    registry: Registry, folder: Path, asked: Wanted, *, steps: int | None, rounds: int = 3, stop_at: int = 0
) -> list[TimingEvent]:
    """Return what a worker would say, in this process."""
    specs, names, _ = variants(registry, asked)
    job = TimingJob(specs, names, rounds, steps, "cpu", {"digits": "nowhere"})
    heartbeat = Heartbeat(folder / "heartbeat")
    said = []
    for event in time_variants(job, registry, heartbeat=heartbeat):
        said.append(event)
        if isinstance(event, Round) and event.number == stop_at:
            heartbeat.ask_to_stop()
    heartbeat.close()
    return said


@pytest.mark.slow
def test_json_has_every_round_of_every_variant_and_a_verdict(timed: dict[str, Any]) -> None:
    assert (timed["status"], timed["n"], timed["steps"], timed["baseline"]) == ("finished", 4, 3, "adam")
    assert "3 training steps" in timed["measurement"]
    sgd, adam = timed["variants"]
    assert (sgd["name"], adam["name"]) == ("sgd", "adam")
    assert adam["kind"] == "baseline"
    assert len(sgd["epoch_seconds"]) == 4
    assert sgd["interval"]["low"] < sgd["ratio"] < sgd["interval"]["high"]
    assert "than adam" in sgd["verdict"] or "no difference detectable at n = 4" in sgd["verdict"]
    assert sgd["epoch_seconds"][0] == pytest.approx(sgd["train_seconds"][0] * 1442 / 300)
    assert min(variant["peak_memory_bytes"] for variant in timed["variants"]) > 1_000_000
    assert {variant["memory_method"] for variant in timed["variants"]} == {"sampled"}
    assert timed["machine"]["num_threads"] > 0


def test_each_variant_is_a_run_of_its_own_in_mlflow_with_a_point_for_each_round(
    bench: Bench, timed: dict[str, Any]
) -> None:
    runs = [run for run in bench.all_runs() if "mlflow.parentRunId" in run.data.tags]
    (parent,) = (run for run in bench.all_runs() if run.info.run_id not in {run.info.run_id for run in runs})
    assert parent.info.run_id == timed["mlflow"]["run_id"]
    assert bench.artifacts(parent) == {"timing.json"}
    assert {run.info.run_name for run in runs} == {"sgd", "adam"}
    for run in (parent, *runs):
        assert run.data.tags["benchbench.kind"] == "time"
        assert "benchbench.attempt" not in run.data.tags
        assert run.info.status == "FINISHED"
    for run in runs:
        variant = next(one for one in timed["variants"] if one["name"] == run.info.run_name)
        points = bench.client.get_metric_history(run.info.run_id, "epoch_seconds")
        assert [(point.step, point.value) for point in points] == list(enumerate(variant["epoch_seconds"], start=1))
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params["optimizer"] == run.info.run_name
        assert run.data.tags["benchbench.acceleration.precision"] == "fp32"


@pytest.mark.usefixtures("timed")
def test_a_timing_is_no_trial_for_any_other_command(bench: Bench) -> None:
    uri = f"sqlite:///{bench.folder / 'mlflow.db'}"
    assert read_experiment("bench", tracking_uri=uri).records == ()
    assert bench.journals() == []


@pytest.mark.slow
def test_ctrl_c_ends_with_the_rounds_there_are_and_with_a_word_where_they_are_too_few(bench: Bench) -> None:
    for begin, text in (("round 3/", "stopped after"), ("sgd: warming up", "an interval takes 3, so nothing is kept")):
        process = bench.start(*TINY, "-o", "sgd,adam", "--rounds", 5000, "--experiment", begin[:3])
        assert process.stdout is not None
        assert any(line.startswith(begin) for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 130, errors
        assert text in output
        assert ("seconds per epoch" in output) == (begin == "round 3/")


@pytest.mark.slow
def test_rounds_measure_every_variant_in_an_order_that_is_reversed_each_time(
    registry: Registry, tmp_path: Path
) -> None:
    statuses: list[str] = []
    specs, names, _ = variants(registry, words(optimizer="sgd,adam", batch_size="100"))
    job = TimingJob(specs, names, 3, None, "cpu", {"digits": "nowhere"})
    said = list(time_variants(job, registry, heartbeat=Heartbeat(tmp_path / "heartbeat"), on_status=statuses.append))
    assert [type(event) for event in said] == [Warmed, Warmed, Round, Round, Round, TimingEnded]
    measured = [status.partition(": ")[2] for status in statuses if status.startswith("round")]
    assert measured == ["sgd", "adam", "adam", "sgd", "sgd", "adam"]
    for event in said:
        if isinstance(event, Warmed):
            assert event.started.spec in specs
            assert event.steps_per_epoch == 15
        if isinstance(event, Round):
            assert 0 <= event.other_cpu_fraction <= 1
            for measurement in event.measurements:
                assert measurement.epoch_seconds == measurement.train_seconds + measurement.eval_seconds
                assert measurement.eval_seconds > 0
                assert measurement.images_per_second == pytest.approx(1442 / measurement.train_seconds)


@pytest.mark.slow
def test_a_stop_keeps_the_whole_rounds(registry: Registry, tmp_path: Path) -> None:
    said = timing(registry, tmp_path, words(optimizer="sgd,adam"), steps=2, rounds=9, stop_at=2)
    assert [event.number for event in said if isinstance(event, Round)] == [1, 2]
    assert said[-1] == TimingEnded(is_stopped=True)


def test_more_steps_than_an_epoch_has_are_refused_with_its_number(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--steps 30 is more than an epoch has: 15 at batch size 100"):
        timing(registry, tmp_path, words(batch_size="12,100"), steps=30)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_a_caution_and_no_end(registry: Registry, tmp_path: Path) -> None:
    settings = ("model.vice=nan",)
    said = timing(registry, tmp_path, words("unruly", optimizer="sgd,adam", settings=settings), steps=5)
    assert not any(each.is_finite for event in said if isinstance(event, Round) for each in event.measurements)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (words(optimizer="sgd,adam"), ("sgd", "adam")),
        (words(batch_size="12, 32,128"), ("batch_size=12", "batch_size=32", "batch_size=128")),
        (words(precision="fp32,bf16"), ("fp32", "bf16")),
        (words("tiny,unruly"), ("tiny", "unruly")),
        (words(accelerate="off,auto"), ("accelerate=off", "accelerate=auto")),
    ],
)
def test_lists_with_commas_make_variants_that_are_called_by_what_differs(
    asked: Wanted, names: tuple[str, ...], registry: Registry
) -> None:
    assert variants(registry, asked)[1:] == (names, names[0])


def test_a_file_gives_each_configuration_once_and_its_baseline_and_options_override_it(
    registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "grid.toml"
    more = '[compare]\nby = ["optimizer"]\nbaseline = { optimizer = "adam" }'
    path.write_text(FILE.format(plugins=PLUGINS, more=more), encoding="utf-8")
    specs, names, baseline = variants(registry, words(str(path), None))
    assert (names, baseline) == (("sgd", "adam"), "adam")
    assert {spec.seed for spec in specs} == {0}
    specs, names, baseline = variants(registry, words(str(path), None, precision="bf16"), baseline="optimizer=sgd")
    assert ({spec.precision for spec in specs}, baseline) == ({"bf16"}, "sgd")


@pytest.mark.parametrize(
    ("asked", "more", "message"),
    [
        (words(optimizer="sgd,adam", batch_size="12,32"), {}, "the variants differ in optimizer, batch_size"),
        (words(optimizer="sgd,adam", batch_size="12,32"), {"by": ("optimizer",)}, "the variants differ in"),
        (words(optimizer="sgd,sgd"), {}, "trials 1 and 2 of 2 are the same"),
        (words(optimizer="sgd,adam"), {"baseline": "adm"}, "--baseline 'adm' is none of the variants"),
        (words(optimizer="sgd,adam"), {"by": ("epochs",)}, "cannot compare by 'epochs'"),
        (words(optimizer="sgd,"), {}, "has an empty value"),
        (words(batch_size="12,many"), {}, "not a whole number"),
        (words(), {}, "one variant only"),
        (words("missing.toml", None), {}, "no such file"),
        (words("tiny", None), {}, "no dataset given"),
        (words("some.toml", "digits"), {}, "some.toml names its dataset itself"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_way_out(
    asked: Wanted, more: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        variants(registry, asked, **more)
    assert refused.value.hint or "no such file" in message


def test_several_things_that_differ_are_compared_where_all_are_named(registry: Registry) -> None:
    asked = words(optimizer="sgd,adam", batch_size="12,32")
    _, names, _ = variants(registry, asked, by=("optimizer", "batch_size"))
    assert names[0] == "optimizer=sgd batch_size=12"
    assert len(names) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "sgd,adam", "--rounds", "2"), "n = 2 is too small for an interval"),
        (("-o", "sgd,adam", "--steps", "0"), "--steps 0: at least one step is timed"),
        (("--accelerate", "auto,on"), "--accelerate 'on': choose from auto, off"),
        (("--accelerate", "off,off"), "has a value twice"),
        ((), "one variant only"),
    ],
)
def test_bad_options_end_with_2_before_anything_is_made(
    arguments: tuple[str, ...], message: str, workdir: Path
) -> None:
    done = CliRunner().invoke(make_app(), ["time", "alexnet", "digits", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert list(workdir.iterdir()) == []


@pytest.mark.slow
def test_noisy_rounds_are_counted_and_a_measurement_is_described(registry: Registry, tmp_path: Path) -> None:
    said = timing(registry, tmp_path, words(optimizer="sgd,adam"), steps=1)
    warmed = tuple(event for event in said if isinstance(event, Warmed))
    rounds = tuple(event for event in said if isinstance(event, Round))
    specs, names, _ = variants(registry, words(optimizer="sgd,adam"))
    job = TimingJob(specs, names, 3, 1, "cpu", {})
    shares = (0.0, 0.5, 0.01)
    made = tuple(Round(done.number, done.measurements, share) for done, share in zip(rounds, shares, strict=True))
    found = Timing(job, warmed, made, is_stopped=False)
    assert found.num_noisy == 1
    assert measurement_text(found).startswith("1 training steps")
    assert compare_timings(found.epoch_seconds, "sgd").n == 3


def test_a_footprint_is_of_its_own_block_whatever_the_process_held_before() -> None:
    import torch

    before = [torch.ones(20_000_000) for _ in range(3)]
    footprint = Footprint(torch.device("cpu"))
    with footprint:
        kept = torch.ones(10_000_000)
    with footprint:
        passing = torch.ones(25_000_000)
        time.sleep(5 * SAMPLE_SECONDS)  # memory is sampled: a peak of less than that may be missed
        del passing
    assert len(before) == 3
    assert kept.numel()
    assert 135e6 < footprint.peak_bytes < 170e6


@pytest.mark.slow
def test_errors_of_a_timing_cross_the_process_as_what_they_are(bench: Bench) -> None:
    done = bench(*TINY, "--precision", "fp32,tf32", "--device", "cpu")
    assert done.returncode == DeviceError.exit_code == 2
    assert "precision tf32 is not possible on cpu" in done.stderr
    assert "it can do fp32" in done.stderr
    done = bench("time", "unruly", "digits", "--plugins", PLUGINS / "unruly.py", "-o", "sgd,adam", "--steps", 9)
    assert done.returncode == TrialError.exit_code == 1
    assert "no 32 images please" in done.stderr
