"""Records with chosen numbers, for the tests of what compares them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support import journals

from benchbench.records.events import Times
from benchbench.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchbench.config.spec import Spec
    from benchbench.records.events import Event
    from benchbench.records.record import Status

CLASSES = tuple(f"class {number:04}" for number in range(2_000))
_counter = iter(range(10_000_000))


def spec(seed: int = 0, *, lr: float = 0.001, **changes: object) -> Spec:
    """Return a spec with another seed and learning rate."""
    optimizer = replace(journals.SPEC.optimizer, params=journals.SPEC.optimizer.params | {"lr": lr})
    return replace(journals.SPEC, seed=seed, optimizer=optimizer, **changes)  # type: ignore[arg-type]


def events(of: Spec, accuracy: float = 0.75, *, seconds: float = 4.5, val: float | None = None) -> list[Event]:
    """Return the events of a finished trial of three epochs."""
    number = next(_counter)
    attempt = f"20260101-{number // 10_000:06}-{number % 10_000:08}"
    begun = replace(journals.started(attempt), spec=of, timestamp_ms=journals.START_MS + 1000 * number)
    end = journals.finished()
    final = replace(
        end.final,
        test_accuracy=accuracy,
        val_accuracy=accuracy if val is None else val,
        test_accuracy_per_class=dict.fromkeys(journals.CLASSES, accuracy),
    )
    times = Times(load=1.0, train=seconds, eval=0.75, other=0.25, wall=seconds + 2)
    epochs = [journals.epoch(number) for number in (1, 2, 3)]
    return [begun, *epochs, replace(end, final=final, times=times)]


def made(of: Spec, accuracy: float = 0.75, *, seconds: float = 4.5, val: float | None = None) -> Record:
    """Return the record of a finished trial."""
    return Record.of(events(of, accuracy, seconds=seconds, val=val))


def ended(of: Spec, status: Status) -> Record:
    """Return the record of a trial that has no results."""
    record = Record.of(events(of)[:2])
    return replace(record, status=status)


def configuration(lr: float, accuracies: Sequence[float], *, first_seed: int = 0) -> list[Record]:
    """Return trials of one learning rate, a seed each."""
    return [made(spec(seed, lr=lr), accuracy) for seed, accuracy in enumerate(accuracies, start=first_seed)]


def per_class(lr: float, seed: int, accuracies: Iterable[float]) -> Record:
    """Return a trial with as many independent metrics as it has classes."""
    record = made(spec(seed, lr=lr))
    assert record.final is not None
    per_class = dict(zip(CLASSES, map(float, accuracies), strict=True))
    return replace(record, final=replace(record.final, test_accuracy_per_class=per_class))
