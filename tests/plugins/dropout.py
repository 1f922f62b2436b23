"""A small model with dropout and batch normalisation: all that must be restored exactly."""

from torch import nn

import benchbench as bb


class Dropout(bb.Model, name="dropout"):
    """Pooled pixels, two layers."""

    def build(self, data: bb.DataSpec) -> nn.Module:
        side = data.image_size // 4
        return nn.Sequential(
            nn.AvgPool2d(4),
            nn.Flatten(),
            nn.Linear(data.num_channels * side**2, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(32, data.num_classes),
        )


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    return [Dropout]
