"""``bench run`` as a user types it: real processes, real MLflow on SQLite."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pexpect
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console
from support import commands
from support.made_records import made, spec
from support.paths import PLUGINS

from benchbench.cli.run import show_end

TINY = ("tiny", "digits", "--plugins", PLUGINS / "tiny.py", "--batch-size", 100, "--lr", 0.01)
UNRULY = ("unruly", "digits", "--plugins", PLUGINS / "unruly.py", "--batch-size", 100)


class Bench:
    """A folder in which ``bench`` is called; the caches are shared, so that only the first call fills them."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"BENCH_CACHE": str(cache), "BENCH_STATE": str(folder / ".bench")}

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return commands.call(*arguments, folder=self.folder, environment=self.environment | environment)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [commands.PROGRAM, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, as jobs of a scheduler have
        )

    def runs(self) -> list[Run]:
        if not (self.folder / "mlflow.db").exists():
            return []
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("bench")
        return list(client.search_runs([experiment.experiment_id])) if experiment else []

    def artifacts(self, run: Run) -> Path:
        return Path(str(run.info.artifact_uri).removeprefix("file://"))


@pytest.fixture
def bench(tmp_path: Path, cache: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Bench(tmp_path, cache)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, cache: Path, empty_database: Path) -> Bench:
    """Return a folder in which nothing but refusals happens."""
    folder = tmp_path_factory.mktemp("used")
    shutil.copy(empty_database, folder / "mlflow.db")
    return Bench(folder, cache)


@pytest.mark.slow
def test_a_run_is_shown_tracked_and_can_be_repeated_from_its_own_spec(bench: Bench) -> None:
    (bench.folder / "mlflow.db").unlink()  # as in the first call in a folder
    done = bench("run", *TINY, "--epochs", 2, "--seed", 7)
    assert done.returncode == 0, done.stderr
    assert re.search(r"epoch 2/2 +train [\d.]+ +[\d.]+% +val [\d.]+ +[\d.]+%", done.stdout)
    assert re.search(r"accuracy: train [\d.]+%  val [\d.]+%  test [\d.]+%", done.stdout)
    (run,) = bench.runs()
    assert f"next: bench predict {run.info.run_id[:12]} IMAGES\n      bench compare" in done.stdout
    assert f"mlflow ui  then  http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" in (
        done.stdout
    )
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.lr"] == "0.01"
    assert run.data.params["seed"] == "7"
    kept = {str(path.relative_to(bench.artifacts(run))) for path in bench.artifacts(run).rglob("*") if path.is_file()}
    assert kept >= {
        "spec.toml",
        "record.json",
        "environment.json",
        "per_class.csv",
        "confusion_matrix.csv",
        "predictions.csv",
        "layers.csv",
        "figures/curves.png",
        "figures/accuracy_per_class.png",
        "figures/test_images.png",
    }

    spec = bench.artifacts(run) / "spec.toml"
    again = bench("run", "--spec", spec, "--artifacts", "none", "--json")
    assert again.returncode == 0, again.stderr
    record = json.loads(again.stdout)
    first = json.loads((bench.artifacts(run) / "record.json").read_text())
    assert record["spec_id"] == first["spec_id"] == run.data.tags["benchbench.spec_id"]
    assert record["final"] == first["final"]
    assert [epoch["train_loss"] for epoch in record["epochs"]] == [epoch["train_loss"] for epoch in first["epochs"]]
    assert len(bench.runs()) == 2


@pytest.mark.slow
def test_json_is_the_only_thing_on_standard_output_and_names_the_run(bench: Bench) -> None:
    done = bench("run", *TINY, "--epochs", 1, "--json", "--artifacts", "light", "--experiment", "mine")
    record = json.loads(done.stdout)
    assert record["format"] == 2
    assert record["status"] == "finished"
    assert record["spec"]["model"]["name"] == "tiny"
    assert len(record["epochs"]) == 1
    assert set(record["final"]["test_accuracy_per_class"]) == set(record["data"]["class_names"])
    assert record["machine"]["versions"]["torch"]
    client = MlflowClient(record["mlflow"]["tracking_uri"])
    run = client.get_run(record["mlflow"]["run_id"])
    assert run.data.metrics["test_accuracy"] == pytest.approx(record["final"]["test_accuracy"])
    assert client.get_experiment(run.info.experiment_id).name == "mine"
    assert "epoch 1/1" in done.stderr


@pytest.mark.slow
def test_loss_weight_decay_and_compilation_are_those_of_the_options(bench: Bench) -> None:
    options = ("--loss", "bce", "--weight-decay", 0.25, "--compile", "--epochs", 1, "--artifacts", "none")
    # torch.compile leaves everything to Python, since compiling takes a minute.
    done = bench("run", *TINY, *options, "--json", TORCH_COMPILE_DISABLE="1")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["spec"]["loss"]["name"] == "bce"
    assert record["spec"]["optimizer"]["params"]["weight_decay"] == 0.25
    assert record["acceleration"]["model"] == "compiled"
    (run,) = bench.runs()
    assert (run.data.params["loss"], run.data.params["optimizer.weight_decay"]) == ("bce", "0.25")


def first_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any(line.startswith("epoch") for line in process.stdout)


@pytest.mark.slow
def test_an_interrupted_run_is_killed_with_what_there_is(bench: Bench) -> None:
    process = bench.start("run", *TINY, "--epochs", 10_000)
    first_epoch(process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped on request" in output, "after its batch, not at once"
    (run,) = bench.runs()
    assert run.info.status == "KILLED"
    assert run.data.metrics["train_loss"] > 0
    assert (bench.artifacts(run) / "figures" / "curves.png").exists()
    assert json.loads((bench.artifacts(run) / "record.json").read_text())["status"] == "killed"
    assert not psutil.wait_procs(children, timeout=20)[1]


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_the_whole_group_and_still_ends_well(bench: Bench) -> None:
    terminal = pexpect.spawn(
        str(commands.PROGRAM),
        [str(argument) for argument in ("run", *TINY, "--epochs", 10_000, "--artifacts", "none")],
        cwd=str(bench.folder),
        env=bench.environment | {"TERM": "xterm-256color", "COLUMNS": "120"},
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 120),
    )
    terminal.expect(r"batch \d+/150000")
    terminal.expect("best val")
    terminal.sendintr()
    terminal.expect("stopping after this batch or a short epoch")
    terminal.expect("killed")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert [run.info.status for run in bench.runs()] == ["KILLED"]


@pytest.mark.slow
@pytest.mark.parametrize(("vice", "message"), [("dies", "killed by the system"), ("raises", "no 100 images please")])
def test_a_trial_that_breaks_is_a_failed_run_with_its_curve(bench: Bench, vice: str, message: str) -> None:
    settings = ("--set", f"model.vice={vice}", "--set", "model.at=20", "--epochs", 5, "--artifacts", "none")
    done = bench("run", *UNRULY, *settings, "--json")
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert record["status"] == "failed"
    assert message in record["error"]["message"]
    assert len(record["epochs"]) == 1
    assert "Traceback" not in done.stderr
    (run,) = bench.runs()
    assert run.info.status == "FAILED"
    assert run.data.metrics["val_accuracy"] == pytest.approx(record["epochs"][0]["val_accuracy"])


REFUSALS: dict[str, tuple[tuple[object, ...], str, str]] = {
    "unknown model": (("alexnett", "digits"), "no model named 'alexnett'", "did you mean 'alexnet'?"),
    "unknown dataset": (("alexnet", "digit"), "no dataset named 'digit'", "did you mean 'digits'?"),
    "unknown optimizer": ((*TINY, "-o", "adm"), "no optimizer named 'adm'", "did you mean 'adam'?"),
    "unknown parameter": ((*TINY, "--set", "model.witdh=3"), "no parameter 'witdh'", "'width'"),
    "unknown kind": ((*TINY, "--set", "modle.width=0"), "'modle'", "did you mean 'model'?"),
    "no value": ((*TINY, "--set", "model.width"), "KIND.PARAM=VALUE", "model.dropout"),
    "no such parameter": ((*TINY, "-o", "adam", "--momentum", 0.5), "'adam' has no parameter 'momentum'", "betas"),
    "twice the same": ((*TINY, "--lr", 0.1, "--set", "optimizer.lr=0.2"), "optimizer.lr is set twice", "--lr or --set"),
    "no epochs": ((*TINY, "--epochs", 0), "epochs", "greater than or equal to 1"),
    "no precision": ((*TINY, "--precision", "fp8"), "'--precision': 'fp8'", "'fp32', 'tf32', 'bf16'"),
    "no decay": ((*TINY, "--ema-decay", "much"), "--ema-decay 'much' is not a number", "such as 0.999, or none"),
    "no artifacts": ((*TINY, "--artifacts", "all"), "'--artifacts': 'all'", "'none', 'light', 'full'"),
    "no such file": (("tiny", "digits", "--plugins", "nowhere.py"), "nowhere.py", ""),
    "no spec file": (("--spec", "nowhere.toml"), "no such file: nowhere.toml", ""),
    "no dataset given": (("alexnet",), "no dataset given", "bench list datasets"),
    "model that cannot be built": ((*UNRULY, "--set", "model.vice=build"), "ValueError: this cannot", "--debug"),
    "no images": (("tiny", "tinyimage10", *TINY[2:4], "--data", "nowhere.zip"), "nowhere.zip", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "message", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_input_gets_one_message_exit_code_2_and_leaves_nothing(
    used: Bench, arguments: tuple[object, ...], message: str, hint: str
) -> None:
    done = used("run", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert hint in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert used.runs() == []
    assert not list(used.folder.glob(".bench/trials/*"))


@pytest.mark.slow
def test_debug_shows_where_an_error_was_raised(used: Bench) -> None:
    done = used("run", *UNRULY, "--set", "model.vice=build", "--debug")
    assert done.returncode == 2
    assert 'raise ValueError("this cannot be built")' in done.stderr


@pytest.mark.slow
def test_a_tracking_server_that_does_not_answer_is_found_before_training(used: Bench) -> None:
    done = used("run", *TINY, MLFLOW_TRACKING_URI="http://user:secret@127.0.0.1:9/")
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "epoch" not in done.stdout


def test_a_left_over_file_store_is_refused(bench: Bench) -> None:
    (bench.folder / "mlflow.db").unlink()  # as in the first call in a folder
    left_over = bench.folder / "mlruns" / "0" / "meta.yaml"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    done = bench("run", *TINY)
    assert done.returncode == 2
    assert "mlruns" in done.stderr
    assert not (bench.folder / "mlflow.db").exists()


@pytest.mark.slow
def test_a_listener_hears_every_event_and_one_that_fails_disturbs_nobody(bench: Bench) -> None:
    (bench.folder / "listener.py").write_text(
        "import benchbench as bb\n"
        "@bb.hookimpl\n"
        "def benchbench_event(event, record):\n"
        "    with open('heard.txt', 'a') as file:\n"
        "        print(event.event, record.status, file=file)\n"
    )
    (bench.folder / "broken.py").write_text(
        "import benchbench as bb\n@bb.hookimpl\ndef benchbench_event(event):\n    raise ValueError('deaf')\n"
    )
    done = bench(
        "run", *TINY, "--epochs", 1, "--artifacts", "none", "--plugins", "listener.py", "--plugins", "broken.py"
    )
    assert done.returncode == 0, done.stderr
    heard = (bench.folder / "heard.txt").read_text().splitlines()
    assert heard == ["started running", "epoch_finished running", "finished finished"]
    assert done.stdout.count("broken.py failed and is not called again: ValueError: deaf") == 1


def test_a_plugin_may_add_a_command(bench: Bench) -> None:
    (bench.folder / "greet.py").write_text(
        "import benchbench as bb\n"
        "@bb.hookimpl\n"
        "def benchbench_commands(app):\n"
        "    @app.command('greet')\n"
        "    def greet(name: str) -> None:\n"
        "        print('hello', name)\n"
    )
    done = bench("greet", "world", BENCH_PLUGINS="greet.py")
    assert (done.returncode, done.stdout) == (0, "hello world\n"), done.stderr
    assert "greet" in bench("--help", BENCH_PLUGINS="greet.py").stdout


def test_the_options_of_all_commands_leave_those_of_a_plugins_command_alone(bench: Bench) -> None:
    (bench.folder / "greet.py").write_text(
        "from typing import Annotated\n"
        "import typer\n"
        "import benchbench as bb\n"
        "@bb.hookimpl\n"
        "def benchbench_commands(app):\n"
        "    @app.command('greet')\n"
        "    def greet(name: str, debug: Annotated[str, typer.Option('--level')] = 'low') -> None:\n"
        "        print('hello', name, debug)\n"
    )
    for words, expected in ((("--level", "high"), "hello world high\n"), (("--debug",), "hello world low\n")):
        done = bench("greet", "world", *words, BENCH_PLUGINS="greet.py")
        assert (done.returncode, done.stdout) == (0, expected), done.stderr


@pytest.mark.parametrize(("accuracy", "is_guess"), [(16 / 30, True), (17 / 30, False)])
def test_the_end_of_a_run_says_if_it_is_no_better_than_guessing(accuracy: float, is_guess: bool) -> None:
    console = Console(file=io.StringIO(), width=300)
    show_end(made(spec(), accuracy), console)
    remark = (
        "the test accuracy is not clearly better than guessing, which gets 33.3 % of 30 test images right on average"
        " and up to 53.3 % by luck: train longer, check the images, or test on more of them\n"
    )
    assert (remark in console.file.getvalue()) == is_guess


@pytest.mark.parametrize(
    ("origin", "checked"),
    [("/a/[nets]/mine.py", "'/a/[nets]/mine.py'"), ("my-nets:alexnet", "alexnet"), ("benchbench:alexnet", "")],
)
def test_a_model_of_ones_own_that_does_not_learn_is_worth_a_check(origin: str, checked: str) -> None:
    console = Console(file=io.StringIO(), width=40)
    show_end(replace(made(spec(), 0.3), plugin_origins={"model": origin}), console)
    remark = f"  or look for mistakes in the model: bench plugin check {checked}\n"
    assert (remark in console.file.getvalue()) == bool(checked)
    assert ("bench plugin check" in console.file.getvalue()) == bool(checked)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from benchbench.cli.main import make_app\n"
        "from typer.testing import CliRunner\n"
        "result = CliRunner().invoke(make_app(), ['run', '--help'])\n"
        "assert result.exit_code == 0\n"
        "print([name for name in ('torch', 'mlflow', 'pandas', 'numpy', 'matplotlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
