"""``decide`` and ``seeds`` in ``[compare]``: which seeds a grid has, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.grid_files import BASIS

from benchbench.config.grid_file import GridFile, load
from benchbench.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

AXIS = 'optimizer = { name = "sgd", lr = { grid = [0.1, 0.01] } }\n'
DECIDE = "[compare]\ndecide = {}\n"


def read(folder: Path, text: str, *, decide: bool = False) -> GridFile:
    path = folder / "grid.toml"
    path.write_text(BASIS + text, encoding="utf-8")
    return load(path, decide=decide)


def test_decide_gives_each_configuration_the_seeds_that_it_may_need(tmp_path: Path) -> None:
    grid = read(tmp_path, AXIS + DECIDE)
    assert grid.design
    assert grid.design.looks == (3, 5, 8, 12, 20)
    assert grid.seeds == tuple(range(20))
    assert (grid.num_trials, grid.design.num_configurations) == (40, 2)


def test_looks_end_with_the_most_seeds(tmp_path: Path) -> None:
    grid = read(tmp_path, AXIS + "[compare]\ndecide = { max_seeds = 10 }\n")
    assert grid.design
    assert grid.design.looks == (3, 5, 8, 10)
    again = read(tmp_path, AXIS + "[compare]\ndecide = { looks = [4, 9] }\n")
    assert again.design
    assert (again.design.looks, again.design.max_seeds) == ((4, 9), 9)


def test_the_first_configuration_is_the_baseline_unless_one_is_named(tmp_path: Path) -> None:
    assert read(tmp_path, AXIS + DECIDE).question.baseline == {"optimizer.lr": 0.1}
    named = read(tmp_path, AXIS + DECIDE + 'baseline = { "optimizer.lr" = 0.01 }\n')
    assert named.question.baseline == {"optimizer.lr": 0.01}


def test_on_the_command_line_decide_begins_with_the_seeds_of_the_file(tmp_path: Path) -> None:
    grid = read(tmp_path, AXIS + "seeds = [7, 3]\n", decide=True)
    assert grid.seeds[:4] == (7, 3, 8, 9)
    assert len(grid.seeds) == 20


def test_one_seed_in_a_file_says_where_decide_begins(tmp_path: Path) -> None:
    assert read(tmp_path, AXIS + "seed = 5\n" + DECIDE).seeds[:3] == (5, 6, 7)


REFUSED = {
    "one configuration": (DECIDE, "decide needs a grid of two configurations or more"),
    "an axis of seeds": (AXIS + "seeds = [0, 1]\n" + DECIDE, r"seeds = \[0, 1\] and \[compare\] decide both say which"),
    "two designs": (AXIS + DECIDE + "seeds = 5\n", r"\[compare\] has both seeds and decide"),
    "looks that shrink": (
        AXIS + "[compare]\ndecide = { looks = [5, 3] }\n",
        "must be increasing numbers from 3 to 200",
    ),
    "a look at two seeds": (
        AXIS + "[compare]\ndecide = { looks = [2, 5] }\n",
        "must be increasing numbers from 3 to 200",
    ),
    "a target": (
        AXIS + DECIDE + 'metrics = ["epochs_to_val_accuracy=0.5"]\ntargets = { val_accuracy = 0.5 }\n',
        "epochs_to_val_accuracy=0.5 cannot be decided",
    ),
    "two ends": (AXIS + "[compare]\ndecide = { looks = [3, 5], max_seeds = 8 }\n", "the last look is at 5 seeds"),
    "too few seeds": (AXIS + "[compare]\ndecide = { max_seeds = 2 }\n", "max_seeds must be greater than or equal to 3"),
    "missing seeds": (AXIS + "seeds = [0, 1, 2]\n[compare]\nseeds = 5\n", "declares 5 seeds, and the grid has 3"),
}


def test_seeds_are_not_added_for_several_datasets_at_once(tmp_path: Path) -> None:
    """Each row would be tested against the baseline on other images."""
    path = tmp_path / "grid.toml"
    basis = BASIS.replace('"digits"', '{ grid = ["digits", { name = "synthetic" }] }')
    path.write_text(basis + AXIS + DECIDE, encoding="utf-8")
    with pytest.raises(SpecError, match="seeds cannot be added for 2 datasets at once"):
        load(path)


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_makes_no_design_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(tmp_path, text)


def test_decide_on_the_command_line_does_not_replace_a_declared_design(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="declares a fixed design of 3 seeds"):
        read(tmp_path, AXIS + "seeds = [0, 1, 2]\n[compare]\nseeds = 3\n", decide=True)
