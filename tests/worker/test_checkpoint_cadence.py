"""When a checkpoint is due: as often as was asked, or as it costs little."""

from benchbench.worker.checkpoint_cadence import Cadence


def test_checkpoints_are_due_when_asked_for_or_when_they_cost_little() -> None:
    asked = Cadence(5, first_cost_seconds=1)
    assert not asked.is_due(4)
    assert asked.is_due(5)
    asked.written(5, cost_seconds=3)
    assert not asked.is_due(9)
    assert asked.is_due(10)

    careful = Cadence(None, first_cost_seconds=100)
    assert not careful.is_due(59)
    assert careful.is_due(60)
    careful.written(60, cost_seconds=2)
    assert not careful.is_due(259)
    assert careful.is_due(260)


def test_small_checkpoints_are_due_as_often_as_they_cost_one_percent_of_the_time() -> None:
    cadence = Cadence(None, first_cost_seconds=0.01)
    assert not cadence.is_due(0.9)
    assert cadence.is_due(1.1)
    cadence.written(1.1, cost_seconds=0.05)
    assert not cadence.is_due(6)
    assert cadence.is_due(6.2)
