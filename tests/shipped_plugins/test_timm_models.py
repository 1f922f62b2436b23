"""Pretrained weights: from the hub's cache, or a quick refusal with ways out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import torch
from benchbench_plugins.resnet import ResNet
from benchbench_plugins.timm_models import Timm
from huggingface_hub import constants

import benchbench as bb
from benchbench.errors import ModelError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

DATA = bb.DataSpec(num_channels=3, image_size=32, num_classes=5)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of a hub that cannot be reached."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


@pytest.mark.parametrize("model", [ResNet(pretrained=True), Timm(architecture="resnet18", pretrained=True)])
def test_pretrained_weights_without_a_network_are_refused_within_seconds(hub_cache: Path, model: bb.Model) -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        model.build(DATA)
    assert time.monotonic() - started < 15
    assert "pretrained weights of resnet18 are not here and cannot be downloaded" in caught.value.message
    assert str(hub_cache) in caught.value.hint
    assert "pretrained = false" in caught.value.hint


def test_a_client_that_is_set_offline_is_not_tried(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        ResNet(pretrained=True).build(DATA)
    assert not list(hub_cache.iterdir())


def cached_folder(hub_cache: Path, architecture: str) -> Path:
    """Return the folder in which the hub's client keeps the files of a network."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    assert config is not None
    folder = hub_cache / f"models--{config.hf_hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot


@pytest.mark.slow
def test_weights_in_the_cache_need_no_network(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(time, "sleep", lambda _: None)  # the hub's client waits between its attempts
    original = timm.create_model("resnet18")
    torch.save(original.state_dict(), cached_folder(hub_cache, "resnet18") / "pytorch_model.bin")
    network = ResNet(pretrained=True).build(DATA)
    assert torch.equal(network.get_parameter("conv1.weight"), original.get_parameter("conv1.weight"))
    assert network.get_parameter("fc.weight").shape[0] == 5


def test_cached_weights_of_a_network_that_once_had_an_archive_of_numpy_are_read(hub_cache: Path) -> None:
    import timm
    from safetensors.torch import save_file

    architecture = "vit_tiny_patch16_224"
    original = timm.create_model(architecture)
    save_file(original.state_dict(), cached_folder(hub_cache, architecture) / "model.safetensors")
    network = Timm(architecture=architecture, pretrained=True).build(DATA)
    assert torch.equal(network.get_parameter("cls_token"), original.get_parameter("cls_token"))


def test_an_architecture_without_weights_is_refused_by_name(hub_cache: Path) -> None:
    with pytest.raises(SpecError, match="timm has no pretrained weights for 'botnet50ts_256'"):
        Timm(architecture="botnet50ts_256", pretrained=True).build(DATA)
    assert not list(hub_cache.iterdir())


@pytest.mark.parametrize("size", [32, 48])
def test_a_network_of_images_of_one_size_is_built_for_those_of_the_dataset(size: int) -> None:
    import timm

    torch.manual_seed(0)
    ours = Timm(architecture="vit_tiny_patch16_224").build(bb.DataSpec(3, size, 5)).eval()
    torch.manual_seed(0)
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=size, num_classes=5).eval()
    images = torch.randn(2, 3, size, size)
    assert torch.equal(ours(images), theirs(images))


def test_a_network_that_resizes_images_itself_is_built_for_its_own_size() -> None:
    network = Timm(architecture="crossvit_tiny_240").build(bb.DataSpec(3, 32, 5)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 32)).shape == (2, 5)
