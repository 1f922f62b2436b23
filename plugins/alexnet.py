"""AlexNet, written from scratch as the 2020 paper "Optimizing AlexNet on Tiny ImageNet10" describes it.

The layers are those of the one-tower variant: A. Krizhevsky, "One weird trick for parallelizing convolutional
neural networks", 2014, with the wider first layers of ImageNet models and no normalization.
"""

from __future__ import annotations

from torch import nn

import benchbench as bb


class AlexNet(bb.Model, name="alexnet"):
    """Five convolutions and three linear layers; 57 million parameters at 10 classes."""

    dropout: float = bb.param(0.5, "fraction of inputs dropped before each of the first two linear layers", ge=0, lt=1)
    num_classes: int | None = bb.param(None, "number of outputs; none: the number of classes", ge=1)

    def build(self, data: bb.DataSpec) -> nn.Module:
        """Return the network. Images need 63 pixels a side or more."""
        if data.image_size < MIN_IMAGE_SIZE:
            raise bb.ModelError(
                f"alexnet needs images of at least {MIN_IMAGE_SIZE} pixels a side, not {data.image_size}",
                hint=f"--set dataset.image_size={MIN_IMAGE_SIZE}",
            )
        features = nn.Sequential(
            nn.Conv2d(data.num_channels, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        classifier = nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(self.dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, self.num_classes or data.num_classes),
        )
        return nn.Sequential(features, nn.AdaptiveAvgPool2d(6), nn.Flatten(), classifier)


MIN_IMAGE_SIZE = 63
"""The smallest side for which the last pooling layer still has one output."""


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer AlexNet."""
    return [AlexNet]
