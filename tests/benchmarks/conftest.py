"""Fixtures of all benchmarks: the images, interleaved rounds, and the table that they fill."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks import page
from benchmarks.interleaved_rounds import InterleavedRounds
from benchmarks.ratios import NotRun, Row, markdown

from benchbench.worker.accelerate.devices import instruction_set

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
BELOW = (
    "Ours and theirs: median (least .. most). Ratio: theirs divided by ours, so above 1 ours is better; geometric mean"
    " of n pairs, 95 % interval by Student's t. `?`: the interval contains the bound, or n = 1."
)
ROWS = pytest.StashKey[dict[str, list["Row | NotRun"]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks of benchbench")
    group.addoption("--quick", action="store_true", help="one round of a few steps; no page is written")
    group.addoption("--write-page", action="store_true", help=f"write what is measured into docs/{PAGE.name}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}


@pytest.hookimpl(trylast=True)  # below what pytest-benchmark prints
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    all_rows = [row for rows in config.stash[ROWS].values() for row in rows]
    if not all_rows:
        return
    table = markdown(all_rows)
    terminalreporter.section("ratios")
    terminalreporter.write(f"{table}\n{BELOW}\n{page.facts(REPOSITORY)}\n")
    if config.option.quick or not config.option.write_page:
        return
    if exitstatus != pytest.ExitCode.OK:
        terminalreporter.write(f"{PAGE.name} is unchanged: not every benchmark was measured\n")
        return
    below = f"{BELOW}\n\nThe newest rows: {page.facts(REPOSITORY)}"
    instructions = instruction_set()
    page.update(PAGE, all_rows, instructions=instructions, measured=page.stamp(), below=below)
    terminalreporter.write(f"written to {PAGE.relative_to(REPOSITORY)}\n")


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[Row | NotRun]:
    """Return the part of the table that belongs to this benchmark."""
    return request.config.stash[ROWS].setdefault(request.node.nodeid, [])


@pytest.fixture
def rounds(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> InterleavedRounds:
    return InterleavedRounds(benchmark, quick=request.config.option.quick)


@pytest.fixture(scope="session")
def images(tinyimage10_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the extracted images, with ``train`` and ``val`` in it."""
    folder = tmp_path_factory.mktemp("images")
    with zipfile.ZipFile(tinyimage10_zip) as archive:
        archive.extractall(folder)
    return folder / "tinyimage10"


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that stays for all benchmarks."""
    return tmp_path_factory.mktemp("cache")
