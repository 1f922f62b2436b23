"""What is seen while trials run: the same lines everywhere, and bars on a terminal."""

from __future__ import annotations

import time
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from support import journals

from benchbench import variables
from benchbench.cli.displays import GridDisplay, RunDisplay
from benchbench.cli.grid import show_trials
from benchbench.cli.trial_lines import epoch_line, starting_note, trial_line
from benchbench.driver.grid_result import GridResult, Trial
from benchbench.driver.plan import Planned
from benchbench.protocol.jobs import Resolved, TrialJob
from benchbench.records.record import Record

JOB = TrialJob(journals.SPEC, "1", "images", "folder")


def terminal() -> Console:
    return Console(file=StringIO(), force_terminal=True, width=80, height=40)


def shown(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_epoch_is_one_line_of_80_columns() -> None:
    started = journals.started()
    record = Record.of([replace(started, spec=replace(started.spec, epochs=350)), journals.epoch(1)])
    epoch = replace(
        record.epochs[0],
        train_loss=12.3456,
        val_loss=12.3456,
        train_accuracy=1,
        val_accuracy=1,
        train_seconds=1234.5,
        images_per_second=12345,
    )
    line = epoch_line(epoch, replace(record, epochs=(epoch,)))
    assert line == "epoch   1/350  train 12.3456 100.0%  val 12.3456 100.0% *  1234.8 s  12345 img/s"
    assert len(line) <= 80


def test_a_terminal_shows_at_once_what_goes_on_before_the_first_trial() -> None:
    console = terminal()
    with RunDisplay(console) as display:
        display.status("looking up plugins")
        display.downloading("tinyimage10", 5_000_000, 10_000_000)
    assert "looking up plugins" in shown(console)
    assert "downloading tinyimage10" in shown(console)
    assert "MB 5/10" in shown(console)


@pytest.mark.parametrize("debug", [False, True])
def test_what_cost_no_result_shows_its_traceback_when_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, debug: bool
) -> None:
    monkeypatch.setenv(variables.DEBUG, "1" if debug else "")
    console = Console(file=StringIO(), width=80)
    with RunDisplay(console) as display:
        try:
            float("nonsense")
        except ValueError as error:
            display.fault("no report: a mistake of ours", error)
    assert "no report: a mistake of ours" in shown(console)
    assert ("test_displays.py" in shown(console)) == debug


def test_lines_are_the_same_with_and_without_a_terminal() -> None:
    lines = []
    for console in (terminal(), Console(file=StringIO(), width=80)):
        record = Record.of([journals.started()])
        with RunDisplay(console) as display, display.training([JOB], lambda: {"folder": 3}):
            display.event(JOB, journals.started(), record)
            display.event(JOB, journals.epoch(1), record.then(journals.epoch(1)))
        lines.append([line for line in shown(console).splitlines() if "epoch 1/3  train" in line])
    assert len(lines[1]) == 1
    assert lines[1][0] in lines[0][0]


@pytest.mark.parametrize("display_class", [RunDisplay, GridDisplay])
@pytest.mark.parametrize(
    ("noisy", "device", "variable", "is_advised"),
    [
        (True, "cpu", "", True),
        (False, "cpu", "", False),
        (True, "cuda", "", False),
        (True, "cpu", "OMP_WAIT_POLICY", False),
        (True, "cpu", "GOMP_SPINCOUNT", False),
    ],
)
def test_a_call_says_once_how_to_train_faster_beside_other_processes(
    monkeypatch: pytest.MonkeyPatch,
    display_class: type[RunDisplay | GridDisplay],
    *,
    noisy: bool,
    device: str,
    variable: str,
    is_advised: bool,
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    console = Console(file=StringIO(), width=80)
    started = journals.started()
    record = Record.of([replace(started, machine=replace(started.machine, device=device))])
    with display_class(console) as display, display.training([JOB], dict):
        for number in (1, 2):
            finished = journals.epoch(number)
            event = replace(finished, epoch=replace(finished.epoch, noisy=noisy))
            record = record.then(event)
            display.event(JOB, event, record)
    assert shown(console).count("OMP_WAIT_POLICY=passive may train many times faster") == is_advised


def test_a_resumed_trial_says_which_epochs_it_trains_again_and_shows_them() -> None:
    console = Console(file=StringIO(), width=80)
    record = Record.of([journals.started(), *map(journals.epoch, (1, 2, 3))])
    with RunDisplay(console) as display:
        display.event(JOB, journals.resumed(1), record)
        display.repeated(JOB, record.epochs[1], record)
    lines = shown(console).splitlines()
    assert "resuming after epoch 1; epochs 2 to 3 are trained again, being later than the last checkpoint" in lines
    assert lines[-1].startswith("epoch 2/3  train")
    assert lines[-1].endswith("again")


def test_a_trial_without_a_checkpoint_starts_over() -> None:
    record = Record.of([journals.started(), *map(journals.epoch, (1, 2))])
    expected = "starting over: no checkpoint yet; epochs 1 to 2 are trained again"
    assert starting_note(journals.resumed(0), record) == expected
    assert starting_note(journals.resumed(0), Record.of([journals.started()])) == "starting over: no checkpoint yet"
    damaged = replace(journals.resumed(0), note="the checkpoint is damaged")
    assert starting_note(damaged, record) == (
        "starting over; epochs 1 to 2 are trained again; the checkpoint is damaged"
    )


def test_of_epochs_of_one_accuracy_the_star_stays_with_the_lower_loss() -> None:
    first, second = journals.epoch(1), journals.epoch(2)
    for val_loss, is_marked in ((first.epoch.val_loss + 0.1, False), (first.epoch.val_loss - 0.1, True)):
        equal = replace(second.epoch, val_accuracy=first.epoch.val_accuracy, val_loss=val_loss)
        record = Record.of([journals.started(), first, replace(second, epoch=equal)])
        assert ("*" in epoch_line(equal, record)) == is_marked


def test_an_epoch_without_a_finite_loss_gets_no_star() -> None:
    record = Record.of([journals.started(), journals.NAN_EPOCH])
    assert "*" not in epoch_line(record.epochs[0], record)


def test_a_trial_that_was_killed_after_its_first_epoch_is_told_of_in_the_singular() -> None:
    record = Record.of([journals.started(), journals.epoch(1), journals.failed(status="killed")])
    assert trial_line(record).startswith("killed after 1 epoch: ")


def test_a_trial_resumed_at_its_last_epoch_says_nothing_of_epochs_trained_again() -> None:
    record = Record.of([journals.started(), journals.epoch(1)])
    assert starting_note(journals.resumed(1), record) == "resuming after epoch 1"


def test_a_grid_shows_a_line_for_each_trial_and_the_batches_of_those_that_run() -> None:
    console = terminal()
    record = Record.of([journals.started()])
    with GridDisplay(console) as display, display.training([JOB], lambda: {"folder": 2}):
        display.trial_status(JOB, "building alexnet")
        display.event(JOB, journals.started(), record)
        time.sleep(0.5)  # bars are drawn four times a second
        display.event(JOB, journals.finished(), record.then(journals.finished()))
    text = shown(console)
    assert "batch 2/3" in text
    assert "[1/1] seed=7: val 80.0%  test 75.0%" in text


PHASES = (
    "building alexnet",
    "comparing a step with and without acceleration, and with channels last, on two batches",
    "training",
)


def rows(display: GridDisplay) -> list[str]:
    """Return what stands at the bottom of a terminal now."""
    console = Console(file=StringIO(), width=80)
    console.print(display._bars.get_renderable())
    return shown(console).splitlines()


def test_what_a_trial_is_busy_with_gives_way_before_its_bar_and_its_count_do() -> None:
    record = Record.of([journals.started()])
    seen = []
    with GridDisplay(terminal()) as display, display.training([JOB, JOB], lambda: {"folder": 2}):
        for text in PHASES:
            display.trial_status(JOB, text)
            seen.append(rows(display))
        display.event(JOB, journals.started(), record)
        display.trial_status(JOB, PHASES[1])
        seen.append(rows(display))
        display.event(JOB, journals.finished(), record.then(journals.finished()))
        seen.append(rows(display))
    assert {len(lines) for lines in seen[:-1]} == {2}
    assert all(lines[0].startswith("grid ") and len(lines[1].rstrip()) <= 80 for lines in seen)
    assert seen[1][1].startswith("seed=7  comparing a step with and without acc")
    assert [lines[1].rstrip()[-9:] for lines in seen[:-1]] == [*["━━━━━ 0 s"] * 3, "batch 2/3"]
    assert "…" in seen[1][1]
    # What is below stays where it is after a trial ends.
    assert len(seen[-1]) == 2


def test_trials_stay_in_their_rows_while_their_phases_change() -> None:
    other = replace(JOB, spec=replace(JOB.spec, seed=8), folder="other")
    record = Record.of([journals.started()])
    with GridDisplay(terminal()) as display, display.training([JOB, other], dict):
        display.trial_status(JOB, "building alexnet")
        display.trial_status(other, "building alexnet")
        display.trial_progress(JOB, "decoding photos", 120, 5000)
        assert "image 120/5000" in rows(display)[1]
        display.trial_status(JOB, "building alexnet")
        assert rows(display)[1].rstrip().endswith("0 s")
        display.event(JOB, journals.started(), record)
        assert "batch 0/3" in rows(display)[1]
        assert "building alexnet" in rows(display)[2]


def test_the_time_that_a_grid_will_take_counts_down() -> None:
    seconds = 100.0
    console = Console(file=StringIO(), force_terminal=True, width=80, height=40, get_time=lambda: seconds)
    record = Record.of([journals.started()]).then(journals.finished())
    with GridDisplay(console) as display, display.training([JOB] * 3, dict):
        display._started -= 90
        display.event(JOB, journals.finished(), record)
        assert "trials 1/3  0:03:00 left" in rows(display)[0]
        seconds = 160.0
        assert "trials 1/3  0:02:00 left" in rows(display)[0]


def test_a_plan_tells_which_trials_another_call_trains_now() -> None:
    console = Console(file=StringIO(), width=80)
    plan = [
        Planned(Resolved(replace(journals.SPEC, seed=seed), "digest", {}), "run", "new", is_elsewhere=seed == 1)
        for seed in (0, 1)
    ]
    GridDisplay(console, lists_trials=True).planned(plan, num_jobs=1)
    assert shown(console).splitlines() == [
        "2 trials: 0 done, 0 to resume, 2 to run, 1 of them running elsewhere",
        "  run     seed=0",
        "  run     seed=1  (running elsewhere)",
    ]


def test_decoding_has_a_bar_of_images_until_the_trial_goes_on() -> None:
    for display_class in (RunDisplay, GridDisplay):
        console = terminal()
        with display_class(console) as display:
            display.trial_progress(JOB, "decoding photos", 120, 5000)
            display._bars.refresh()
            assert "decoding photos" in shown(console)
            assert "image 120/5000" in shown(console)
            display.trial_status(JOB, "building alexnet")
            console.file.truncate(0)
            display._bars.refresh()
            assert "decoding photos" not in shown(console)


@pytest.mark.parametrize("display_class", [RunDisplay, GridDisplay])
def test_decoding_tells_how_long_it_will_take_at_its_speed(display_class: type[RunDisplay | GridDisplay]) -> None:
    seconds = 0.0
    console = Console(file=StringIO(), force_terminal=True, width=80, height=40, get_time=lambda: seconds)
    with display_class(console) as display:
        display.trial_progress(JOB, "decoding photos", 120, 5000)
        display._bars.refresh()
        assert "left" not in shown(console)
        seconds = 10.0
        display.trial_progress(JOB, "decoding photos", 620, 5000)
        display._bars.refresh()
    # 4380 images are left, at 50 a second.
    assert "image 620/5000  0:01:28 left" in shown(console)


@pytest.mark.parametrize("display_class", [RunDisplay, GridDisplay])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_is_odd_about_a_trial_that_begins_stays_on_the_screen(
    display_class: type[RunDisplay | GridDisplay], *, is_terminal: bool
) -> None:
    console = terminal() if is_terminal else Console(file=StringIO(), width=200)
    started = journals.started()
    facts = replace(started.data, skipped=("cut.jpg", "empty.png"), note="took 4 images for test")
    started = replace(started, data=facts, acceleration=started.acceleration | {"dropped": "winograd: it differs"})
    with display_class(console) as display:
        display.event(JOB, started, Record.of([started]))
    text = " ".join(shown(console).split())
    for part in (
        "took 4 images for test",
        "left out 2 damaged files, the first of them cut.jpg",
        "winograd: it differs",
    ):
        assert part in text


def test_decoding_prints_no_lines_without_a_terminal() -> None:
    console = Console(file=StringIO(), width=80)
    with RunDisplay(console) as display:
        display.trial_progress(JOB, "decoding photos", 120, 5000)
    assert not shown(console)


def test_the_star_of_the_best_trial_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    record = Record.of([journals.started()]).then(journals.finished())
    planned = Planned(Resolved(journals.SPEC, "digest", {}), "run", "new")
    show_trials(GridResult("rates", (Trial(planned, "finished", is_new=True, record=record),)))
    *_, row, _, below = capsys.readouterr().out.splitlines()
    assert "80.0%*" in row
    assert below == "* best validation accuracy"
