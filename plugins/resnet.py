"""The ResNet baseline: K. He et al., "Deep Residual Learning for Image Recognition", 2015; built by timm."""

from __future__ import annotations

from typing import Literal

from benchbench_plugins.timm_models import create
from torch import nn

import benchbench as bb


class ResNet(bb.Model, name="resnet"):
    """A residual network; 11 million parameters with 18 layers."""

    layers: Literal[18, 34, 50, 101, 152] = bb.param(18, "number of layers")
    pretrained: bool = bb.param(False, "start from downloaded weights instead of random ones")

    def build(self, data: bb.DataSpec) -> nn.Module:
        """Return timm's ``resnet<layers>``."""
        model: nn.Module = create(f"resnet{self.layers}", data, pretrained=self.pretrained)
        return model


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer ResNet."""
    return [ResNet]
