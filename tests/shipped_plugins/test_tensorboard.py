"""What TensorBoard reads of a trial, by its own reader; and that nothing is written or imported unasked."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support import journals
from support.paths import TESTS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from benchbench.driver.listeners import Listeners
from benchbench.plugin.registry import Registry
from benchbench.records.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchbench.records.events import Event

ATTEMPT = "20260101-000000-abcdef01"
ORIGIN = "benchbench:tensorboard"
EPOCHS = [journals.epoch(number) for number in (1, 2, 3)]


@pytest.fixture
def board(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_TENSORBOARD", str(workdir / "board"))
    return workdir / "board"


def listeners(notes: list[str] | None = None) -> Listeners:
    """Return what a process has that was just started, with nothing open from another."""
    registry = Registry.load(only=[ORIGIN])
    sys.modules["benchbench_plugins.tensorboard"].__dict__["_files"].clear()
    return Listeners(registry.listeners, on_trouble=[].append if notes is None else notes.append)


def tell(to: Listeners, *events: Event) -> None:
    journal = Journal.of(journals.SPEC.id, ATTEMPT)
    for event in events:
        journal.append(event)
        to.tell(event, journal.record())


def read(board: Path) -> Any:
    (folder,) = board.iterdir()
    assert folder.name == f"alexnet-sgd-squares-s7-{ATTEMPT}"
    return EventAccumulator(str(folder)).Reload()


def points(accumulator: Any, tag: str) -> list[tuple[int, float]]:
    return [(point.step, round(point.value, 6)) for point in accumulator.Scalars(tag)]


def test_epochs_are_scalars_under_the_tags_of_the_paper(board: Path) -> None:
    tell(listeners(), journals.started(), *EPOCHS, journals.finished())
    found = read(board)
    for tag in ("train_acc", "train_loss", "val_acc", "val_loss"):
        assert [step for step, _ in points(found, tag)] == [1, 2, 3]
    assert points(found, "train_acc") == [(1, 0.5), (2, 0.75), (3, 0.833333)]
    assert points(found, "test_acc") == [(3, 0.75)]
    assert found.Scalars("val_loss")[0].wall_time == journals.START_MS / 1000 + 1


def test_hyperparameters_and_the_end_are_there(board: Path) -> None:
    tell(listeners(), journals.started(), *EPOCHS, journals.finished())
    summaries = read(board).summary_metadata
    begun = metadata.parse_session_start_info_plugin_data(
        summaries[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    assert begun.hparams["optimizer.lr"].number_value == 0.001
    assert begun.hparams["optimizer"].string_value == "sgd"
    assert begun.hparams["dataset.mean"].string_value == "[0.5]"
    assert begun.hparams["model.num_classes"].string_value == "none"
    ended = metadata.parse_session_end_info_plugin_data(summaries[metadata.SESSION_END_INFO_TAG].plugin_data.content)
    assert ended.status == 1  # success


def test_figures_that_are_there_at_the_end_are_images(board: Path) -> None:
    ours = listeners()
    tell(ours, journals.started(), *EPOCHS)
    figures = Journal.of(journals.SPEC.id, ATTEMPT).artifacts / "figures"
    figures.mkdir(parents=True)
    Image.new("RGB", (40, 20), "red").save(figures / "curves.png")
    tell(ours, journals.finished())
    (image,) = read(board).Images("curves")
    assert (image.width, image.height, image.step) == (40, 20, 3)


@pytest.mark.parametrize("asked_at_first", [True, False])
def test_a_resumed_trial_has_every_step_once(
    board: Path, monkeypatch: pytest.MonkeyPatch, *, asked_at_first: bool
) -> None:
    if not asked_at_first:
        monkeypatch.delenv("BENCH_TENSORBOARD")
    tell(listeners(), journals.started(), *EPOCHS[:2], journals.failed(status="killed"))
    monkeypatch.setenv("BENCH_TENSORBOARD", str(board))
    tell(listeners(), resumed(2), EPOCHS[2], journals.finished())
    found = read(board)
    assert [step for step, _ in points(found, "val_loss")] == [1, 2, 3]
    ended = found.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(ended).status == 1


@pytest.mark.parametrize("in_one_call", [True, False])
def test_epochs_that_were_trained_again_with_other_numbers_are_those_of_the_record(
    board: Path, *, in_one_call: bool
) -> None:
    ours = listeners()
    tell(ours, journals.started(), *EPOCHS)
    if not in_one_call:
        tell(ours, journals.failed(status="killed"))
        ours = listeners()
    again = [journals.epoch(number, val_loss=number) for number in (2, 3)]
    tell(ours, resumed(1), again[0])
    assert points(read(board), "val_loss") == [(1, 2.2), (2, 2)]
    tell(ours, again[1], journals.finished())
    assert points(read(board), "val_loss") == [(1, 2.2), (2, 2), (3, 3)]


def resumed(num_epochs: int) -> Event:
    from benchbench.records.events import Resumed

    return Resumed(num_epochs=num_epochs, machine=journals.MACHINE)


def test_files_of_others_stay(board: Path) -> None:
    folder = board / f"alexnet-sgd-squares-s7-{ATTEMPT}"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.other").write_bytes(b"")
    tell(listeners(), journals.started())
    assert (folder / "events.out.tfevents.1.other").exists()


def test_nothing_is_written_unasked(workdir: Path) -> None:
    tell(listeners(), journals.started(), *EPOCHS, journals.finished())
    assert list(workdir.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_note(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "file").touch()
    monkeypatch.setenv("BENCH_TENSORBOARD", str(workdir / "file"))
    notes: list[str] = []
    tell(listeners(notes), journals.started(), *EPOCHS)
    assert len(notes) == 1
    assert f"listener {ORIGIN} failed and is not called again" in notes[0]


def python(code: str, workdir: Path, folders: Sequence[str] = ()) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *folders], cwd=workdir, capture_output=True, text=True, check=True
    )
    return done.stdout


LOAD = f"""
import sys
from benchbench.plugin.registry import Registry
((_, listener),) = Registry.load(only=["{ORIGIN}"]).listeners
"""


def test_loading_it_imports_neither_tensorboard_nor_torch(workdir: Path) -> None:
    code = LOAD + "print([name for name in ('tensorboard', 'torch', 'mlflow', 'PIL') if name in sys.modules])"
    assert python(code, workdir).strip() == "[]"


def test_without_the_package_one_note_says_what_to_install(board: Path) -> None:
    code = f"""
sys.path.insert(0, "{TESTS}")
sys.modules["tensorboard"] = None  # as if it were not installed
from support import journals
from benchbench.records.journal import Journal
from benchbench.driver.listeners import Listeners
journal = Journal.of(journals.SPEC.id, "{ATTEMPT}")
told = Listeners([("{ORIGIN}", listener)], on_trouble=print)
for event in (journals.started(), journals.epoch(1), journals.finished()):
    journal.append(event)
    told.tell(event, journal.record())
"""
    (line,) = python(LOAD + code, board.parent).splitlines()
    assert (
        "the package tensorboard is not installed (pip install -e '.[tensorboard]' in the clone of benchbench)" in line
    )
