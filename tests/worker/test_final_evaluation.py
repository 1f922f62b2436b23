"""From where on a trial overfits."""

from benchbench.records.events import Epoch
from benchbench.worker.final_evaluation import overfit_epoch


def epochs(*losses: tuple[float, float]) -> list[Epoch]:
    return [
        Epoch(
            epoch=number,
            train_loss=train,
            train_accuracy=0.0,
            val_loss=val,
            val_accuracy=0.0,
            train_seconds=1.0,
            eval_seconds=1.0,
            images_per_second=1.0,
            learning_rate=0.1,
        )
        for number, (train, val) in enumerate(losses, start=1)
    ]


def test_overfitting_begins_where_validation_loss_stays_above_its_least() -> None:
    falling = [(3.0, 3.0), (2.0, 2.0), (1.0, 1.0), (0.9, 1.1), (0.8, 1.02)]
    assert overfit_epoch(epochs(*falling, (0.7, 1.2), (0.6, 1.3), (0.5, 1.1))) == 6
    assert overfit_epoch(epochs(*falling, (0.7, 1.2), (0.6, 1.3))) is None, "two epochs are no trend"
    assert overfit_epoch(epochs((3, 3), (2, 2), (1, 1), (0.9, 1.04), (0.8, 1.04), (0.7, 1.04))) is None
    assert overfit_epoch(epochs((3, 3), (1, 1), (2, 2), (2, 2), (2, 2))) is None, "training got worse too"
    assert overfit_epoch(epochs((3, 3), (2, 2), (2.5, 2.5))) is None
