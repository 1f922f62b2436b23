"""The table of a network's layers: what is counted, and that looking leaves no trace."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from benchbench.config.spec import PluginSpec
from benchbench.plugin.model import DataSpec
from benchbench.plugin.registry import Registry
from benchbench.worker.artifact_tables import save_layers
from benchbench.worker.layer_table import WHOLE, list_layers

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = torch.zeros(1, 3, 8, 8)


class Odd(nn.Module):
    """Weights of its own, one layer passed twice, one never, a sum of products outside of all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(192, 4))
        self.square = nn.Linear(4, 4, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.unused = nn.Linear(5, 5)
        self.head = nn.Linear(4, 4, bias=False)
        self.head.weight = self.square.weight
        self.num_calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.norm(images.flatten(1) @ self.scale)
        result: torch.Tensor = self.head(self.drop(self.square(self.square(hidden))))
        return result


def test_alexnet_is_counted_as_the_paper_has_it() -> None:
    plugin = Registry.load(only=["benchbench:alexnet"]).create("model", PluginSpec("alexnet", 1, {}))
    model = plugin.build(DataSpec(num_channels=3, image_size=150, num_classes=10))
    layers = list_layers(model, torch.zeros(1, 3, 150, 150))
    convolutions = [layer for layer in layers if layer.kind == "Conv2d"]
    assert [layer.output for layer in convolutions] == [
        (64, 36, 36),
        (192, 17, 17),
        (384, 8, 8),
        (256, 8, 8),
        (256, 8, 8),
    ]
    assert convolutions[0].parameters == 64 * (3 * 11 * 11 + 1)
    assert convolutions[0].multiply_adds == 36 * 36 * 64 * 3 * 11 * 11
    assert [layer.parameters for layer in layers if layer.kind == "Linear"] == [37_752_832, 16_781_312, 40_970]
    assert sum(layer.parameters for layer in layers) == sum(value.numel() for value in model.parameters())


def test_every_parameter_and_product_of_an_odd_network_is_in_one_row() -> None:
    model = Odd()
    layers = {layer.name: layer for layer in list_layers(model, IMAGE)}
    assert layers[WHOLE].parameters == layers[WHOLE].multiply_adds == 192 * 4
    assert layers["square"].multiply_adds == 2 * 16
    assert (layers["square"].parameters, layers["head"].parameters) == (16, 0)
    assert layers["unused"].output == ()
    assert sum(layer.parameters for layer in layers.values()) == sum(value.numel() for value in model.parameters())
    assert list(layers) == ["norm", "square", "drop", "head", WHOLE, "unused"]


class Block(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.product, self.activation = nn.Linear(8, 8), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.product(x))  # type: ignore[no-any-return]


def test_a_layer_that_two_blocks_share_is_listed_once_and_nothing_is_lost() -> None:
    shared = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU())
    layers = list_layers(nn.Sequential(Block(shared), Block(shared)), IMAGE)
    assert [layer.name for layer in layers if "activation" in layer.name] == ["0.activation.0", "0.activation.1"]
    assert sum(layer.multiply_adds for layer in layers) == 4 * 8 * 8 * 3 * 8
    assert sum(layer.parameters for layer in layers) == 3 * 64 + 2 * 8


def test_looking_changes_nothing() -> None:
    model = Odd().train()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    list_layers(model, IMAGE)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_a_network_that_needs_real_numbers_leaves_a_reason_and_is_as_it_was(tmp_path: Path) -> None:
    class Decides(nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images if bool(images.sum() > 0) else -images)

    model = Decides(8, 2)
    reason = save_layers(tmp_path / "layers.csv", model, IMAGE)
    assert reason is not None
    assert "\n" not in reason
    assert not (tmp_path / "layers.csv").exists()
    assert model(IMAGE).shape == (1, 3, 8, 2)


def test_the_table_is_a_file_with_shapes_as_they_are_read(tmp_path: Path) -> None:
    assert save_layers(tmp_path / "layers.csv", nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), IMAGE) is None
    with (tmp_path / "layers.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["layer", "kind", "output", "parameters", "multiply_adds"],
            ["0", "Conv2d", "2x6x6", "56", str(2 * 6 * 6 * 27)],
            ["1", "Flatten", "72", "0", "0"],
        ]


@pytest.mark.parametrize("architecture", ["resnet10t", "vit_tiny_patch16_224"])
def test_networks_of_others_are_listed(architecture: str) -> None:
    plugin = Registry.load(only=["benchbench:timm"]).create(
        "model", PluginSpec("timm", 1, {"architecture": architecture})
    )
    model = plugin.build(DataSpec(num_channels=3, image_size=224, num_classes=10))
    layers = list_layers(model, torch.zeros(1, 3, 224, 224))
    assert sum(layer.parameters for layer in layers) == sum(value.numel() for value in model.parameters())
