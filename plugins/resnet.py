"""The ResNet baseline: K. He et al., "Deep Residual Learning for Image Recognition", 2015; built by timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from benchbench_plugins.pretrained import PretrainedModel
from benchbench_plugins.timm_models import create

import benchbench as bb

if TYPE_CHECKING:
    from torch import nn


class ResNet(PretrainedModel, name="resnet"):  # type: ignore[call-arg, misc] # mypy does not see the base
    """A residual network; 11 million parameters with 18 layers."""

    layers: Literal[18, 34, 50, 101, 152] = bb.param(18, "number of layers")

    def create(self, data: bb.DataSpec) -> nn.Module:
        """Return timm's ``resnet<layers>``."""
        network: nn.Module = create(f"resnet{self.layers}", data, pretrained=self.pretrained)
        return network


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer ResNet."""
    return [ResNet]
