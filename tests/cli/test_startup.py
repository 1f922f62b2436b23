"""What shells, schedulers and terminals leave a command with: reports of others, each with its address.

Each was tried on ``bench`` as its reporter came upon it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.commands import PROGRAM, Bench
from support.paths import PLUGINS

from benchbench.cli.startup import LastingOutput
from benchbench.config.spec import Draft, read_settings
from benchbench.executors.worker_process import last_state
from benchbench.plugin.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

TINY = ("tiny", "digits", "--plugins", PLUGINS / "tiny.py", "-b", 100, "--lr", 0.01, "--artifacts", "none")
SLOW = ("line", "dots", "--plugins", PLUGINS / "dots.py", "-b", 20, "--set", "model.pause=0.05", "--artifacts", "none")
SECONDS = 120


@pytest.fixture
def bench(tmp_path: Path, cache: Path, empty_database: Path) -> Bench:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Bench(tmp_path, cache)


def shell(bench: Bench, script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which "$@" is a call of bench."""
    ours = {"BENCH_CACHE": str(bench.cache), "BENCH_STATE": str(bench.folder / ".bench")}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, "bash", PROGRAM, *map(str, arguments)],
        cwd=bench.folder,
        env=os.environ | ours | variables,
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
        check=False,
    )


def test_a_listing_whose_reader_has_seen_enough_ends_in_silence(bench: Bench) -> None:
    # https://github.com/python/cpython/issues/90650, https://github.com/pallets/click/issues/712
    done = shell(bench, '"$@" | head -1', "list", "models", PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (0, "")


def test_output_that_could_not_be_written_whole_is_told(bench: Bench) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = shell(bench, '"$@" > /dev/full', "list", "models", "--json")
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


@pytest.mark.slow
def test_a_trial_goes_on_when_nobody_reads_its_output_any_more(bench: Bench) -> None:
    # https://github.com/Backblaze/B2_Command_Line_Tool/issues/1071
    done = shell(bench, '"$@" | head -1', "run", *TINY, "-e", 2)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = bench.runs()
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_a_trial_needs_no_open_streams_and_no_name_for_its_user(bench: Bench) -> None:
    # https://github.com/getdango/dango/pull/339, https://github.com/httpie/cli/issues/1590
    closed = '"$@" <&- >&- 2>&-'
    if os.geteuid() == 0 and shutil.which("setpriv"):
        # https://github.com/vectorize-io/hindsight/pull/3934, https://github.com/giampaolo/psutil/issues/547
        rights = "+dac_override,+dac_read_search"
        closed = f"setpriv --reuid 54321 --inh-caps {rights} --ambient-caps {rights} {closed}"
    done = shell(bench, f"unset USER LOGNAME; HOME=/nonexistent {closed}", "run", *TINY, "-e", 1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (run,) = bench.runs()
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_warnings_of_libraries_end_no_trial_where_warnings_are_errors(bench: Bench) -> None:
    # https://github.com/mlflow/mlflow/issues/9585; the seed: https://github.com/NVIDIA/Megatron-LM/issues/88
    variables = {"PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "2,1"}
    done = bench("run", *TINY, "-e", 1, "--json", "--seed", 2**63 - 1, **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"


def start_with_sighup(bench: Bench, *arguments: object, handler: signal.Handlers) -> subprocess.Popen[str]:
    """Start it as a shell (``SIG_DFL``) or nohup (``SIG_IGN``) does, however these tests were started."""
    before = signal.signal(signal.SIGHUP, handler)
    process = bench.start_anew(*arguments)
    signal.signal(signal.SIGHUP, before)
    return process


@pytest.mark.slow
def test_a_closed_terminal_stops_a_trial_after_its_batch_and_nohup_keeps_it(bench: Bench) -> None:
    # https://github.com/meta-pytorch/torchtune/issues/371, https://github.com/open-mmlab/mmsegmentation/issues/1998
    arguments = ("run", *SLOW, "-e", 3000)
    process = start_with_sighup(bench, *arguments, handler=signal.SIG_DFL)
    wait_for_an_epoch(bench, process)
    process.send_signal(signal.SIGHUP)  # as the shell does, and then the system
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    (journal,) = bench.journals()
    record = journal.record()
    assert (record.status, record.error and record.error.message) == ("killed", "stopped on request")
    assert journal.is_interrupted()

    before = len(record.epochs)
    nohup = start_with_sighup(bench, *arguments, handler=signal.SIG_IGN)
    wait_for(lambda: len(journal.record().epochs) > before)
    nohup.send_signal(signal.SIGHUP)
    epochs = len(journal.record().epochs)
    wait_for(lambda: len(journal.record().epochs) > epochs + 1)
    nohup.send_signal(signal.SIGTERM)
    nohup.communicate(timeout=SECONDS)
    assert nohup.returncode == 130


def wait_for_an_epoch(bench: Bench, process: subprocess.Popen[str]) -> None:
    wait_for(lambda: process.poll() is not None or any(journal.record().epochs for journal in bench.journals()))
    assert process.poll() is None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited in vain")


@pytest.mark.slow
def test_three_commands_may_begin_at_once_in_an_empty_folder(tmp_path: Path, cache: Path) -> None:
    # https://github.com/optuna/optuna/issues/820, https://github.com/optuna/optuna/issues/4994
    bench = Bench(tmp_path, cache)
    processes = [bench.start("run", *TINY, "-e", 1, "--seed", seed) for seed in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=3 * SECONDS)
        assert process.returncode == 0, errors
    assert sorted(run.data.params["seed"] for run in bench.runs()) == ["0", "1", "2"]
    assert {run.info.status for run in bench.runs()} == {"FINISHED"}


def test_a_bar_that_is_drawn_again_and_again_is_one_line() -> None:
    # https://github.com/tqdm/tqdm/issues/750, https://github.com/opentargets/issues/issues/231
    bar = "".join(f"\r{percent:3}%|####      | {percent}/100" for percent in range(101))
    assert last_state(bar + "\n") == "100%|####      | 100/100"
    assert last_state("a line\r\n") == "a line"
    assert last_state("\n") == ""


@pytest.mark.slow
def test_a_plugin_that_draws_a_bar_does_not_flood_the_screen(bench: Bench) -> None:
    # https://github.com/ray-project/ray/issues/9233
    text = (PLUGINS / "tiny.py").read_text(encoding="utf-8")
    bar = "[print(f'\\r{n}/999', end='', file=sys.stderr) for n in range(1000)]; print(file=sys.stderr)"
    text = text.replace("        hidden =", f"        {bar}\n        hidden =").replace(
        "from torch", "import sys\nfrom torch"
    )
    plugin = bench.write("drawing.py", text)
    done = bench("run", "tiny", "digits", "--plugins", plugin, "-b", 100, "-e", 1, "--artifacts", "none")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if "/999" in line] == ["999/999"]


@pytest.mark.parametrize("text", ["1e-5", "1.0e-05", "1E-5", ".00001"])
def test_a_small_rate_is_the_same_trial_however_it_is_typed(text: str) -> None:
    # https://github.com/hydra-ecosystem/hydra/issues/999
    registry = Registry.load()
    draft = Draft.from_toml({"model": "resnet", "dataset": "digits"})
    specs = {registry.resolve(draft.with_texts(read_settings({"optimizer.lr": rate}))).id for rate in (text, "0.00001")}
    assert len(specs) == 1


@pytest.mark.slow
def test_a_plugin_file_named_in_several_ways_is_one_plugin(bench: Bench) -> None:
    # https://github.com/pytest-dev/pytest-django/issues/102, https://github.com/pytest-dev/pytest/issues/5804
    plugin = Path(shutil.copy(PLUGINS / "tiny.py", bench.folder))
    (bench.folder / "link.py").symlink_to(plugin)
    files = [word for name in (plugin, "tiny.py", "./tiny.py", "link.py") for word in ("--plugins", name)]
    done = bench("list", "models", "--json", *files)
    assert done.returncode == 0, done.stderr
    names = [entry["name"] for entry in json.loads(done.stdout)["plugins"]]
    assert names.count("tiny") == 1


def test_a_reader_that_is_slow_gets_everything_also_from_a_stream_that_does_not_block() -> None:
    """As some programs leave a terminal: https://github.com/nodejs/node/issues/14752."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    text, got = b"x" * 1_000_000, bytearray()

    def take() -> None:
        while len(got) < len(text):
            time.sleep(0.001)
            part = os.read(read, 50_000)
            if not part:
                return
            got.extend(part)

    reader = threading.Thread(target=take, daemon=True)
    reader.start()
    with io.BufferedWriter(LastingOutput(write, "w")) as stream:
        stream.write(text)
    reader.join()
    os.close(read)
    assert got == text
