"""The documents are run: examples work, output is real, links lead somewhere, and no name is missing."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from PIL import Image
from support import commands, forks
from support.gradients import has_gradient_at_zero
from support.pages import PAGES, TEXTS, Block, blocks, outside_blocks
from support.paths import REPOSITORY

from benchbench import errors, testing
from benchbench.config import grid_file
from benchbench.driver import end_of_call
from benchbench.plugin import hooks
from benchbench.plugin.registry import Registry
from benchbench.records import events, machine, record
from benchbench.testing.model import IMAGES
from benchbench.tracking import client, server_probe, tracker_thread

if TYPE_CHECKING:
    from mlflow.entities import Run

CHEAP = ("bench --version", "bench list", "bench show", "bench data verify")
"""Commands whose output is compared with what a page says it is."""

OF_THE_USER = {"BENCH_DATA", "BENCH_PLUGINS", "BENCH_TENSORBOARD", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"}

CHECKS: dict[str, Any] = {
    "dataset": testing.check_dataset,
    "augmentation": testing.check_augmentation,
    "model": testing.check_model,
    "loss": testing.check_loss,
    "optimizer": testing.check_optimizer,
    "scheduler": testing.check_scheduler,
}
HOOKS = [name for name in vars(hooks) if name.startswith("benchbench_")]


PYTHON = blocks("python")
PLUGINS = [block for block in PYTHON if block.is_plugin]
TESTS = [block for block in PYTHON if block.file_name.startswith("test_")]
SCRIPTS = [block for block in PYTHON if block not in PLUGINS + TESTS]


def of_page(block: Block) -> str:
    return str(block)


@pytest.fixture(autouse=True)
def _one_cache_for_all(_own_folders: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(cache))


@pytest.fixture
def examples(workdir: Path) -> Path:
    """Return the working folder, with every example that has a file's name in it."""
    write_examples(workdir)
    return workdir


def write_examples(folder: Path) -> None:
    for block in PYTHON:
        if block.file_name:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")


def call(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = environment_in(folder) | environment
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def bench(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return commands.call(*words, folder=folder, environment=environment_in(folder) | environment)


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words, environment = (sys.executable, "-c", text), environment_in(folder)
    if forks.fits(environment):
        return forks.call(words, folder=folder, environment=environment, timeout_seconds=300)
    return call(*words, folder=folder)


def environment_in(folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OF_THE_USER}
    return inherited | {"BENCH_STATE": str(folder / ".bench")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, empty_database: Path) -> Path:
    """Return a folder with an image, in which tiny.py was trained with the listener of the plugins' page."""
    folder = tmp_path_factory.mktemp("trained")
    write_examples(folder)
    plugins = ("--plugins", "tiny.py", "--plugins", "notify.py")
    shutil.copy(empty_database, folder / "mlflow.db")
    Image.new("RGB", (80, 60), (200, 30, 30)).save(folder / "new.jpg")
    done = bench("run", "tiny", "digits", *plugins, "-o", "adam", "-e", "1", folder=folder, BENCH_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def run(trained: Path) -> Run:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("bench")
    assert experiment is not None
    # The examples of the Python API train more of them.
    first: Run = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])[0]
    return first


def test_every_page_is_looked_at() -> None:
    assert set(TEXTS) >= {"README.md", "CHANGELOG.md", "docs/plugins.md", "docs/records.md", "docs/cli.md"}
    assert len(PLUGINS) >= 6
    assert TESTS
    assert SCRIPTS


@pytest.mark.parametrize("block", PLUGINS, ids=of_page)
def test_every_plugin_example_loads_and_keeps_its_promises(block: Block, examples: Path) -> None:
    assert block.file_name, "its first line names its file"
    registry = Registry.load([block.file_name], only={block.file_name})
    assert registry.broken == []
    for (kind, _), cls in registry.plugins.items():
        CHECKS[kind](cls())
    for _, add_commands in registry.commands:
        add_commands(app=typer.Typer())
    assert registry.plugins or registry.listeners
    assert (examples / block.file_name).exists()


@pytest.mark.usefixtures("examples")
def test_the_loss_of_the_page_has_a_gradient_where_it_is_nothing() -> None:
    loss = Registry.load(["focal.py"], only={"focal.py"}).get("loss", "focal")
    assert has_gradient_at_zero(loss(gamma=0.5))  # type: ignore[call-arg]


@pytest.mark.parametrize("block", TESTS, ids=of_page)
@pytest.mark.usefixtures("examples")
def test_every_example_of_a_test_passes(block: Block) -> None:
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 - our own pages
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


@pytest.mark.slow
@pytest.mark.parametrize("block", SCRIPTS, ids=of_page)
def test_every_other_example_runs_after_a_trial(block: Block, trained: Path) -> None:
    done = run_script(block.text, trained)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
def test_the_listener_example_heard_of_the_trial_and_its_command_tells_of_it(trained: Path) -> None:
    done = bench("finished", folder=trained, BENCH_PLUGINS="notify.py")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["model"] == "tiny"


@pytest.mark.parametrize("block", blocks("toml"), ids=of_page)
def test_every_toml_block_parses_and_makes_trials(block: Block, tmp_path: Path) -> None:
    if "model" in tomllib.loads(block.text):
        file = tmp_path / "page.toml"
        file.write_text(block.text, encoding="utf-8")
        assert grid_file.load(file).expand()


def cheap_commands() -> list[tuple[Block, str, str]]:
    """Return the block, the command and the output of each ``$ bench ...`` that is cheap to call."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith(CHEAP):
                found.append((block, command, output))
    return found


def printed(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("block", "command", "output"), cheap_commands(), ids=[f"{block}" for block, _, _ in cheap_commands()]
)
def test_the_output_of_cheap_commands_is_what_the_page_shows(
    block: Block, command: str, output: str, examples: Path
) -> None:
    done = bench(*command.split()[1:], folder=examples)
    assert done.returncode == 0, done.stderr
    assert printed(done.stdout) == printed(output), f"{block} is out of date"


def test_the_generated_pages_are_fresh(workdir: Path) -> None:
    done = call(sys.executable, str(REPOSITORY / "docs" / "generate.py"), "--check", folder=workdir)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_with_its_exact_arguments(name: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hooks, name)).parameters)
    assert f"| `{name}({arguments})` |" in TEXTS["docs/plugins.md"]


def test_no_hook_is_documented_that_there_is_not() -> None:
    assert set(re.findall(r"\| `(benchbench_\w+)\(", TEXTS["docs/plugins.md"])) == set(HOOKS)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_every_check_is_documented_with_its_arguments(check: Any) -> None:
    arguments = []
    for name, parameter in inspect.signature(check).parameters.items():
        default = "IMAGES" if parameter.default is IMAGES else parameter.default
        arguments.append(name if default is parameter.empty else f"{name}={default}")
    assert f"`{check.__name__}({', '.join(arguments)})`" in TEXTS["docs/plugins.md"]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", outside_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links() -> list[tuple[str, str]]:
    found = []
    for page, text in TEXTS.items():
        targets = re.findall(r"\]\(([^)\s]+)\)", outside_blocks(text))
        found += [(page, target) for target in targets if "://" not in target]
    return found


@pytest.mark.parametrize(("page", "link"), links())
def test_every_relative_link_leads_somewhere(page: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (PAGES[page].parent / path).resolve() if path else PAGES[page]
    assert target.exists()
    if anchor:
        assert anchor in anchors(target.read_text(encoding="utf-8"))


def test_make_demo_and_the_page_without_make_train_the_same() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    demo = re.search(r"^demo:.*\n\t\$\(BIN\)/(bench run .*)$", makefile, re.MULTILINE)
    assert demo
    assert f"\n.venv/bin/{demo[1]}\n" in TEXTS["docs/install.md"]


def rendered(text: str, width: int) -> list[str]:
    """Return the lines of a page in a terminal: code as it is, paragraphs broken at ``width``, links by their names."""
    lines: list[str] = []
    for part in re.split(r"^(```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            lines += [*part.splitlines()[1:-1], ""]
            continue
        for paragraph in re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", part.strip()).split("\n\n"):
            for item in re.split(r"\n(?=- )", paragraph):
                lines += textwrap.wrap(" ".join(item.split()), width)
            lines.append("")
    return lines


def test_the_readme_fits_on_two_screens() -> None:
    assert len(rendered(TEXTS["README.md"], 80)) <= 105


@pytest.mark.parametrize(
    "needed", ["make demo", "make test", "bench compare", "images/terminal.svg", "images/report.png", "docs/install.md"]
)
def test_the_readme_shows_what_a_reader_looks_for_first(needed: str) -> None:
    assert needed in TEXTS["README.md"]


KEPT = [
    record.Record,
    events.Epoch,
    events.Final,
    events.Times,
    events.Error,
    events.DataFacts,
    events.SplitFacts,
    record.MlflowRun,
    events.Started,
    events.Resumed,
    events.EpochFinished,
    events.Finished,
    events.Failed,
    machine.Machine,
]


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.__name__)
def test_every_field_that_a_trial_leaves_is_documented(kept: Any) -> None:
    fields = {field.name for field in dataclasses.fields(kept)}
    assert fields <= set(re.findall(r"`(\w+)`", TEXTS["docs/records.md"]))


@pytest.mark.slow
def test_every_metric_and_tag_of_a_real_run_is_documented(run: Run, trained: Path) -> None:
    named = set(re.findall(r"`([\w./*<>]+)`", TEXTS["docs/records.md"]))
    metrics = {re.sub(r"^test_accuracy/.*", "test_accuracy/<class>", key) for key in run.data.metrics}
    groups = r"^(benchbench\.(?:version|acceleration|plugin|source))\..*"
    tags = {re.sub(groups, r"\1.*", key) for key in run.data.tags}
    assert metrics | tags <= named
    artifacts = Path(str(run.info.artifact_uri).removeprefix("file://"))
    files = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
    assert files <= named
    assert trained in artifacts.parents


def test_the_layers_on_the_page_are_those_that_are_checked() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    (shown,) = [block for block in blocks("text") if block.text.startswith("cli ")]
    first_column = [re.split(r"\s{2,}", line)[0] for line in shown.text.splitlines()]
    assert [line for line in first_column if line] == layers


def test_the_exit_codes_on_the_page_of_commands_are_those_of_the_errors() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXTS["docs/cli.md"], re.MULTILINE)}
    assert codes == {0, 1, 2, 130}
    assert {errors.BenchError.exit_code, errors.TrialError.exit_code} == {1, 2}


def test_the_page_of_the_architecture_says_how_long_a_server_is_waited_for() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    section = page.partition("## Waiting for a server")[2].partition("\n## ")[0]
    told = {name: float(value) for name, value in re.findall(r"`([A-Z_]+)` = (\d+)", section)}
    modules = (server_probe, client, tracker_thread, end_of_call)
    assert len(told) == 6
    assert told == {name: getattr(module, name) for module in modules for name in told if hasattr(module, name)}
