"""Lines of text that describe trials: what is trained, its epochs, how it ended, and what is left to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from benchbench.errors import counted
from benchbench.records.events import WORST_RANK, rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchbench.compare.adaptive import AdaptiveProgress
    from benchbench.driver.plan import Planned
    from benchbench.records.events import Epoch, Resumed, Started
    from benchbench.records.record import Record

SECONDS_IN_A_MINUTE = 60


def duration(seconds: float) -> str:
    """Return a length of time such as ``0:10:49``, or ``3.2 s`` below a minute."""
    return f"{seconds:.1f} s" if seconds < SECONDS_IN_A_MINUTE else str(timedelta(seconds=round(seconds)))


def headline(record: Record) -> str:
    """Return one line that says what is trained on what: ``alexnet (57.0 M parameters) on digits ...``."""
    spec, machine = record.spec, record.machine
    threads = f", {counted(machine.num_threads, 'thread')}" if machine.device == "cpu" else f" ({machine.device_name})"
    return (
        f"{spec.model.name} ({record.num_parameters / 1e6:.1f} M parameters) on {spec.dataset.name},"
        f" {spec.optimizer.name}, batch {spec.batch_size}, seed {spec.seed};"
        f" {machine.device}{threads}, {spec.precision}"
    )


def epoch_line(epoch: Epoch, record: Record) -> str:
    """Return one line of losses and accuracies; ``*`` marks the best epoch so far by validation."""
    before = [each for each in record.epochs[: epoch.epoch - 1] if each.is_finite]
    highest = max((rank(each.val_accuracy, each.val_loss) for each in before), default=WORST_RANK)
    best = epoch.is_finite and rank(epoch.val_accuracy, epoch.val_loss) > highest
    width = len(str(record.spec.epochs))
    return (
        f"epoch {epoch.epoch:{width}}/{record.spec.epochs}"
        f"  train {epoch.train_loss:.4f} {epoch.train_accuracy:6.1%}"
        f"  val {epoch.val_loss:.4f} {epoch.val_accuracy:6.1%} {'*' if best else ' '}"
        f"  {epoch.train_seconds + epoch.eval_seconds:.1f} s  {epoch.images_per_second:.0f} img/s"
    )


def starting_note(event: Started | Resumed, record: Record) -> str:
    """Return a note on a trial that starts or resumes; usually empty for one that starts."""
    if event.event == "resumed":
        again = _trained_again(event.num_epochs + 1, len(record.epochs))
        begin = f"resuming after epoch {event.num_epochs}" if event.num_epochs else "starting over"
        if not (event.num_epochs or event.note):
            begin += ": no checkpoint yet"
        return "; ".join(filter(None, (begin, again, event.note)))
    skipped, dropped = event.data.skipped, event.acceleration.get("dropped", "")
    notes = (
        event.data.note,
        event.note,
        f"left out {len(skipped)} damaged files, the first of them {skipped[0]}" if skipped else "",
        f"not accelerated: {dropped}" if dropped else "",
    )
    return "; ".join(filter(None, notes))


def _trained_again(first: int, last: int) -> str:
    """Return which epochs a trial that is resumed trains again, and why; nothing if there are none."""
    if first > last:
        return ""
    epochs = f"epoch {last} is" if first == last else f"epochs {first} to {last} are"
    return f"{epochs} trained again" + (", being later than the last checkpoint" if first > 1 else "")


def trial_line(record: Record) -> str:
    """Return how a trial ended: ``val 53.8 %  test 54.6 %  10:49``, or why it did not finish."""
    seconds = duration(record.times.wall) if record.times else ""
    if record.final is not None:
        return f"val {record.final.val_accuracy:.1%}  test {record.final.test_accuracy:.1%}  {seconds}"
    why = record.error.message.partition("\n")[0] if record.error else ""
    return f"{record.status} after {counted(len(record.epochs), 'epoch')}: {why}  {seconds}".rstrip()


def plan_line(plan: Sequence[Planned], *, num_jobs: int, is_most: bool = False) -> str:
    """Return how many trials are done and how many are left, such as ``4 trials: 1 done, 0 to resume, 3 to run``.

    If these are the most that may be needed, ``is_most`` says so.
    """
    actions = [item.action for item in plan]
    stale = sum(bool(item.stale) and item.action == "skip" for item in plan)
    num_elsewhere = sum(item.is_elsewhere for item in plan)
    parts = [
        f"{'at most ' if is_most else ''}{counted(len(plan), 'trial')}: {actions.count('skip')} done",
        *([f"{stale} of them stale (--rerun-stale)"] if stale else []),
        f"{actions.count('resume')} to resume",
        f"{actions.count('run')} to run",
        *([f"{num_elsewhere} of them running elsewhere"] if num_elsewhere else []),
    ]
    known = [item.finished.wall_seconds for item in plan if item.finished and item.finished.wall_seconds]
    left = len(plan) - actions.count("skip")
    if known and left:
        parts.append(f"about {duration(left * sum(known) / len(known) / num_jobs)} left, judging by earlier trials")
    return ", ".join(parts)


def look_lines(progress: AdaptiveProgress) -> list[str]:
    """Return lines on the design before the first look, and on the outcome of the last look after it."""
    number = len(progress.comparisons)
    looks, configurations = progress.design.looks, progress.design.num_configurations
    if not number:
        steps = ", ".join(map(str, looks[:-1]))
        return [f"looks after {steps} and {looks[-1]} seeds of {configurations} configurations"]
    ended = [
        f"  {decision.outcome}: {name}, {metric}"
        for (name, metric), decision in progress.decisions.items()
        if decision.look == number and decision.outcome != "open"
    ]
    num_open = len(progress.of_outcome("open"))
    return [f"look {number} of {len(looks)}, {looks[number - 1]} seeds: {counted(num_open, 'comparison')} open", *ended]
