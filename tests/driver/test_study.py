"""What a grid file asks."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support import made_records
from support.stores import Filler

from benchbench.driver.study import Study, find_records
from benchbench.errors import SpecError
from benchbench.tracking import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_grid_none_of_whose_trials_is_there_says_so(tmp_path: Path, empty_database: Path, workdir: Path) -> None:
    shutil.copy(empty_database, workdir / "mlflow.db")
    filler = Filler(tmp_path / "journals")
    filler.trial(Store.open(), made_records.events(made_records.spec()))
    (tmp_path / "grid.toml").write_text('name = "g"\nmodel = "alexnet"\ndataset = "digits"\n', encoding="utf-8")
    with pytest.raises(SpecError, match="none of the 1 trials of 'bench' is one of the grid's") as caught:
        find_records(Study.of_experiment("bench", tmp_path / "grid.toml"), lambda _: None)
    assert f"bench grid {tmp_path / 'grid.toml'} runs them" in caught.value.hint
    assert "without --grid" in caught.value.hint


def test_a_published_result_may_name_a_setting_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        'model = "alexnet"\ndataset = "digits"\nema_decay = { grid = ["none", 0.99] }\n[[expected]]\n'
        'where = { ema_decay = "none" }\nmetric = "test_accuracy"\nvalue = 0.5\nsource = "a table"\n'
    )
    Study.read(tmp_path / "grid.toml").check_expected()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": ["train_seconds"]}, "no option 'metric'; did you mean 'metrics'"),
        ({"target": {"val_accuracy": 0.5}}, "no option 'target'; did you mean 'targets'"),
        ({"population": True}, "no option 'population'"),
    ],
)
def test_a_question_that_nobody_knows_is_refused(options: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Study.read(None).asked(options)


def test_a_question_may_name_one_thing_without_a_list_and_leave_out_the_rest() -> None:
    question = Study.read(None).asked(
        {"metrics": "train_seconds", "by": "optimizer.lr", "baseline": None, "targets": None, "margin": None}
    )
    assert (question.metrics, question.by) == (("train_seconds",), ("optimizer.lr",))
    nothing = Study.read(None).asked({"metrics": None, "by": None})
    assert nothing == Study.read(None).question
