"""Trials whose processes are killed at any moment, and whose command is given again until it finishes."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest
import torch
from support.commands import Bench, workers
from support.paths import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchbench.records.journal import Journal

pytestmark = pytest.mark.slow
EPOCHS = 12
RUN = ("run", "dropout", "digits", "--plugins", PLUGINS / "dropout.py", "--batch-size", 100, "--epochs", EPOCHS)
RUN += ("--set", "optimizer.lr=0.003", "--checkpoint-every", 0, "--keep-checkpoints")
GRID = f"""
name = "survival"
model = "dropout"
dataset = "digits"
epochs = {EPOCHS}
batch_size = 100
seeds = [0, 1]
optimizer = {{ name = "adam", lr = {{ grid = [0.003, 0.001] }} }}
plugins = ["{PLUGINS / "dropout.py"}"]
"""
GRID_COMMAND = ("grid", "grid.toml", "--jobs", 2, "--checkpoint-every", 0, "--keep-checkpoints")
VICTIMS = ("driver", "worker", "both")
POLL_SECONDS = 0.002
MAX_CALLS = 40


def any_journal(sign: Callable[[Journal], bool]) -> Callable[[Bench], bool]:
    """Return a sign that is there once a trial has it that has not ended yet, or not been delivered."""
    return lambda bench: any(sign(journal) for journal in bench.journals())


def num_lines(journal: Journal) -> int:
    return (journal.folder / "events.jsonl").read_bytes().count(b"\n")


def exists(name: str) -> Callable[[Bench], bool]:
    return any_journal(lambda journal: (journal.folder / name).exists())


def has_ended(journal: Journal) -> bool:
    return b'"event":"finished"' in (journal.folder / "events.jsonl").read_bytes()


SIGNS: dict[str, Callable[[Bench], bool]] = {
    "start-up": lambda _: True,
    "training": any_journal(lambda journal: num_lines(journal) > EPOCHS // 3),
    "checkpoint": exists(".checkpoint.pt.partial"),
    "evaluation": any_journal(lambda journal: num_lines(journal) > EPOCHS),
    "artifacts": exists("artifacts"),
    "finished": any_journal(has_ended),
    "figures": exists("artifacts/record.json"),
    "delivered": exists("delivered"),
}
"""The phases of a call in their order, and how each is recognised from outside."""

LONGEST_DELAY_SECONDS = {"start-up": 4.0, "training": 1.0, "checkpoint": 0.01, "finished": 1.5, "figures": 1.0}


@dataclass(frozen=True)
class Moment:
    """When to kill whom: so long after the sign of a phase is seen."""

    phase: str
    delay_seconds: float
    victim: str

    def strike(self, bench: Bench, process: subprocess.Popen[str]) -> bool:
        """Wait for the moment and kill; return whether there was somebody to kill."""
        while not SIGNS[self.phase](bench):
            if process.poll() is not None:
                return False
            time.sleep(POLL_SECONDS)
        time.sleep(self.delay_seconds)
        if process.poll() is not None:
            return False
        victims = workers(process) if self.victim != "driver" else []
        if self.victim != "worker":
            process.kill()
        for victim in victims[: 1 if self.victim == "worker" else None]:
            victim.kill()
        return bool(victims) or self.victim != "worker"


def moments(number: int, *, seed: int) -> list[Moment]:
    """Return moments spread over all phases, in the order in which a trial passes through them."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    phases = [list(SIGNS)[(seed + position * len(SIGNS) // number) % len(SIGNS)] for position in range(number)]
    return [
        Moment(phase, chance.uniform(0, LONGEST_DELAY_SECONDS.get(phase, 0.1)), chance.choice(VICTIMS))
        for phase in sorted(phases, key=list(SIGNS).index)
    ]


def insist(bench: Bench, command: tuple[object, ...], strikes: list[Moment]) -> list[str]:
    """Give the command again and again, killed at each of the moments, until it finishes; return what happened."""
    waiting, history = list(strikes), []
    for _ in range(MAX_CALLS):
        done = struck(bench, command, waiting, history) if waiting else bench(*command)
        history.append(f"exit {done.returncode} {done.stderr[-500:]}")
        assert "Traceback" not in done.stderr, history
        if done.returncode == 0 or (command[0] == "run" and is_over(bench)):
            assert any(line.endswith(": hit") for line in history), history
            return history
    pytest.fail("\n".join(["never finished", *history]))


def struck(
    bench: Bench, command: tuple[object, ...], waiting: list[Moment], history: list[str]
) -> subprocess.CompletedProcess[str]:
    """Give the command and kill at the next moments, as long as it lives: it replaces a worker that is killed."""
    process = bench.start_anew(*command)
    while waiting and process.poll() is None:
        moment = waiting.pop(0)
        hit = moment.strike(bench, process)
        history.append(f"{moment}: {'hit' if hit else 'missed'}")
        if hit and moment.victim != "worker":
            break
    output, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def is_over(bench: Bench) -> bool:
    """Tell whether a call was killed with nothing left to do but to exit: `bench run` would train once more."""
    claims = [journal.claim() for journal in bench.journals() if has_ended(journal)]
    return bool(claims) and not any(claim is None or claim.is_open for claim in claims)


def weights(journal: Journal) -> dict[str, torch.Tensor]:
    states = torch.load(journal.folder / "checkpoint.pt", weights_only=True)["states"]
    model: dict[str, torch.Tensor] = states["model"]
    return model


def assert_alike(bench: Bench, undisturbed: Bench, history: list[str]) -> None:
    """Compare all that two folders hold of the same trials: weights, metrics, files and models."""
    told = "\n".join(history)
    ours = {journal.record().spec_id: journal for journal in bench.journals()}
    theirs = {journal.record().spec_id: journal for journal in undisturbed.journals()}
    assert len(bench.journals()) == len(theirs), told
    assert ours.keys() == theirs.keys(), told
    for spec_id, journal in theirs.items():
        expected, found = weights(journal), weights(ours[spec_id])
        assert all(torch.equal(found[name], expected[name]) for name in expected), told
    tag = "benchbench.spec_id"
    runs, expected_runs = ({run.data.tags[tag]: run for run in place.runs()} for place in (bench, undisturbed))
    assert len(bench.runs()) == len(expected_runs), told
    for spec_id, run in expected_runs.items():
        assert runs[spec_id].info.status == "FINISHED", told
        assert runs[spec_id].data.tags["benchbench.status"] == "finished", told
        assert bench.points(runs[spec_id]) == undisturbed.points(run), told
    assert files(bench) == files(undisturbed), told
    assert len(models(bench)) == len(models(undisturbed)), told
    assert [run.info.status for run in bench.parents()] == [run.info.status for run in undisturbed.parents()], told


def files(bench: Bench) -> dict[str, set[str]]:
    return {run.data.tags["benchbench.spec_id"]: bench.artifacts(run) for run in bench.runs()}


def models(bench: Bench) -> list[object]:
    experiment = bench.client.get_experiment_by_name("bench")
    return list(bench.client.search_logged_models([experiment.experiment_id])) if experiment else []


def a_folder(path: Path, cache: Path, database: Path | None = None) -> Bench:
    path.mkdir()
    if database is not None:
        shutil.copy(database, path / "mlflow.db")
    (path / "grid.toml").write_text(GRID, encoding="utf-8")
    return Bench(path, cache, {"OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory: pytest.TempPathFactory, cache: Path, empty_database: Path) -> Bench:
    bench = a_folder(tmp_path_factory.mktemp("undisturbed") / "run", cache, empty_database)
    done = bench(*RUN)
    assert done.returncode == 0, done.stderr
    return bench


@pytest.fixture(scope="module")
def undisturbed_grid(tmp_path_factory: pytest.TempPathFactory, cache: Path, empty_database: Path) -> Bench:
    bench = a_folder(tmp_path_factory.mktemp("undisturbed") / "grid", cache, empty_database)
    done = bench(*GRID_COMMAND)
    assert done.returncode == 0, done.stderr
    return bench


def test_a_run_killed_at_three_moments_ends_as_if_nothing_had_happened(
    undisturbed_run: Bench, tmp_path: Path, cache: Path, empty_database: Path
) -> None:
    bench = a_folder(tmp_path / "run", cache, empty_database)
    strikes = [
        Moment("training", 0.2, "worker"),
        Moment("checkpoint", 0.0, "both"),
        Moment("finished", 0.3, "driver"),
    ]
    assert_alike(bench, undisturbed_run, insist(bench, RUN, strikes))


def test_a_grid_killed_at_three_moments_ends_as_if_nothing_had_happened(
    undisturbed_grid: Bench, tmp_path: Path, cache: Path, empty_database: Path
) -> None:
    bench = a_folder(tmp_path / "grid", cache, empty_database)
    strikes = [
        Moment("checkpoint", 0.0, "worker"),
        Moment("training", 0.5, "both"),
        Moment("finished", 0.3, "driver"),
    ]
    assert_alike(bench, undisturbed_grid, insist(bench, GRID_COMMAND, strikes))


@pytest.mark.survival
@pytest.mark.parametrize("seed", range(5))
def test_runs_killed_at_twenty_random_moments_end_as_if_nothing_had_happened(
    undisturbed_run: Bench, tmp_path: Path, cache: Path, seed: int
) -> None:
    bench = a_folder(tmp_path / "run", cache)
    assert_alike(bench, undisturbed_run, insist(bench, RUN, moments(4, seed=seed)))


@pytest.mark.survival
@pytest.mark.parametrize("seed", range(5))
def test_grids_killed_at_twenty_random_moments_end_as_if_nothing_had_happened(
    undisturbed_grid: Bench, tmp_path: Path, cache: Path, seed: int
) -> None:
    bench = a_folder(tmp_path / "grid", cache)
    assert_alike(bench, undisturbed_grid, insist(bench, GRID_COMMAND, moments(4, seed=seed)))


def test_nothing_is_left_running_when_the_driver_is_killed(tmp_path: Path, cache: Path, empty_database: Path) -> None:
    bench = a_folder(tmp_path / "run", cache, empty_database)
    process = bench.start_anew(*RUN, "--epochs", 100_000)
    while not SIGNS["checkpoint"](bench):
        assert process.poll() is None
        time.sleep(POLL_SECONDS)
    children = workers(process)
    assert children
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(children, timeout=20)[1]
