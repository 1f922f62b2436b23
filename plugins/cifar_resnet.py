"""The small ResNets for CIFAR: K. He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

import benchbench as bb

WIDTHS = (16, 32, 64)


class CifarResNet(bb.Model, name="cifar_resnet"):
    """A residual network for images of 32x32, with 3x3 convolutions and shortcuts without parameters.

    20 layers have 0.27 million parameters, 110 have 1.7 million. The models ``resnet``, ``timm`` and ``torchvision``
    begin with a convolution of stride 2 for larger images.
    """

    layers: Literal[20, 32, 44, 56, 110] = bb.param(20, "number of layers")

    def build(self, data: bb.DataSpec) -> nn.Module:
        """Return a convolution, three groups of blocks of which each halves the image, and a linear layer."""
        layers: list[nn.Module] = [
            nn.Conv2d(data.num_channels, WIDTHS[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
        ]
        num_inputs = WIDTHS[0]
        for width in WIDTHS:
            for _ in range((self.layers - 2) // 6):
                layers.append(Block(num_inputs, width))
                num_inputs = width
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(num_inputs, data.num_classes))
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return network


class Block(nn.Module):
    """Two convolutions beside a shortcut: the input itself, or, if channels double, every second pixel and zeros."""

    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if num_inputs == width else 2
        self.conv1 = nn.Conv2d(num_inputs, width, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output for ``[N, C, H, W]``."""
        shortcut = x
        if self.stride > 1:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.conv1.out_channels - x.shape[1]))
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + shortcut)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer the ResNets for CIFAR."""
    return [CifarResNet]
