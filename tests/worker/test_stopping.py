"""A stop that waits for the end of a short epoch."""

from __future__ import annotations

import time

import pytest
from support import journals

from benchbench.errors import StoppedError
from benchbench.worker.stopping import PATIENCE_SECONDS, StopsLosingNothing


class Stopping:
    """A counter of batches that is asked to stop."""

    def restart(self, *, num_trained: int) -> None:
        pass

    def trained(self) -> None:
        raise StoppedError("stopped on request")

    check = trained


def test_a_stop_waits_for_a_short_epoch_but_not_for_one_that_takes_much_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    counter = StopsLosingNothing(Stopping(), lambda text, *_: said.append(text))
    counter.ended(journals.epoch(1).epoch, is_at_risk=True)
    counter.trained()
    now += PATIENCE_SECONDS - 0.1
    counter.trained()
    assert len(said) == 1
    now += 0.2
    with pytest.raises(StoppedError):
        counter.trained()


def test_a_stop_waits_for_nothing_if_no_epoch_would_be_lost() -> None:
    counter = StopsLosingNothing(Stopping(), lambda *_: None)
    counter.ended(journals.epoch(1).epoch, is_at_risk=False)
    with pytest.raises(StoppedError):
        counter.trained()
