"""``bench time`` as a user types it."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import Bench
from support.paths import PLUGINS
from typer.testing import CliRunner

from benchbench.cli.main import make_app
from benchbench.errors import DeviceError, TrialError
from benchbench.tracking.stored_records import read_experiment

if TYPE_CHECKING:
    from pathlib import Path

TINY = ("time", "tiny", "digits", "--plugins", PLUGINS / "tiny.py")


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
    assert sgd["train_seconds"][0] < sgd["epoch_seconds"][0] <= sgd["train_seconds"][0] * 1442 / 300
    assert min(variant["peak_memory_bytes"] for variant in timed["variants"]) > 1_000_000
    assert {variant["memory_method"] for variant in timed["variants"]} == {"sampled"}
    assert timed["machine"]["num_threads"] > 0


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.usefixtures("timed")
def test_a_timing_is_no_trial_for_any_other_command(bench: Bench) -> None:
    uri = f"sqlite:///{bench.folder / 'mlflow.db'}"
    assert read_experiment("bench", tracking_uri=uri).records == ()
    assert bench.journals() == []


@pytest.mark.slow
def test_ctrl_c_ends_with_the_rounds_there_are_and_with_a_word_where_they_are_too_few(bench: Bench) -> None:
    for begin, text in (("round 3/", "stopped after"), ("sgd: warming up", "an interval needs 3, so nothing is kept")):
        process = bench.start_anew(*TINY, "-o", "sgd,adam", "--rounds", 5000, "--steps", 2, "--experiment", begin[:3])
        assert process.stdout is not None
        assert any(line.startswith(begin) for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 130, errors
        assert text in output
        assert ("seconds per epoch" in output) == (begin == "round 3/")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "sgd,adam", "--rounds", "2"), "n = 2 is too small for an interval"),
        (("-o", "sgd,adam", "--steps", "0"), "--steps 0: at least one step is timed"),
        (("--accelerate", "auto,on"), "--accelerate 'on': choose from auto, off"),
        (("--accelerate", "off,off"), "repeats a value"),
        ((), "only one variant"),
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
def test_errors_of_a_timing_cross_the_process_as_what_they_are(bench: Bench) -> None:
    done = bench(*TINY, "--precision", "fp32,tf32", "--device", "cpu")
    assert done.returncode == DeviceError.exit_code == 2
    assert "precision tf32 is not possible on cpu" in done.stderr
    assert "it can do fp32" in done.stderr
    done = bench("time", "unruly", "digits", "--plugins", PLUGINS / "unruly.py", "-o", "sgd,adam", "--steps", 9)
    assert done.returncode == TrialError.exit_code == 1
    assert "no 32 images please" in done.stderr


@pytest.mark.slow
def test_variants_on_the_cpu_see_no_gpu(bench: Bench, tmp_path: Path) -> None:
    plugin = tmp_path / "blind.py"
    text = (PLUGINS / "tiny.py").read_text(encoding="utf-8").replace('"tiny"', '"blind"')
    look = """import os; raise bb.SpecError(f"GPUs: {os.environ.get('CUDA_VISIBLE_DEVICES')!r}")\n        """
    plugin.write_text(text.replace("hidden = ", look + "hidden = "), encoding="utf-8")
    done = bench(
        "time", "blind", "digits", "--plugins", plugin, "-o", "sgd,adam", "--device", "cpu", CUDA_VISIBLE_DEVICES="0"
    )
    assert "GPUs: ''" in done.stderr
