"""Models of torchvision and timm: options, weights of a file, and a head that is trained alone."""

from __future__ import annotations

import copy
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from benchbench_plugins.adamw import AdamW
from benchbench_plugins.resnet import ResNet
from benchbench_plugins.sgd import SGD
from benchbench_plugins.timm_models import Timm
from benchbench_plugins.torchvision_models import Torchvision
from torch import hub, nn

import benchbench as bb
from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.errors import ModelError, SpecError
from benchbench.plugin import parameters
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TrialJob
from benchbench.records.events import Finished
from benchbench.worker.trial import run_trial

if TYPE_CHECKING:
    from benchbench.protocol.shared_counter import SharedCounter

DATA = bb.DataSpec(num_channels=3, image_size=32, num_classes=5)
SMALL = "mobilenetv3_small_050"


def built(model: bb.Model, data: bb.DataSpec = DATA) -> nn.Module:
    torch.manual_seed(0)
    return model.build(data)


@pytest.mark.parametrize("num_channels", [1, 3, 4])
def test_a_network_of_torchvision_takes_any_number_of_channels(num_channels: int) -> None:
    data = bb.DataSpec(num_channels, 32, 5)
    network = built(Torchvision(architecture="mobilenet_v3_small"), data)
    assert network.eval()(torch.randn(2, num_channels, 32, 32)).shape == (2, 5)


def test_a_network_of_torchvision_is_the_one_that_torchvision_builds() -> None:
    from torchvision import models

    network = built(Torchvision(architecture="mobilenet_v3_small", options=bb.Options({"dropout": 0.4})))
    torch.manual_seed(0)
    theirs = models.mobilenet_v3_small(num_classes=5, dropout=0.4)
    assert str(network) == str(theirs)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_network_of_windows_in_torchvision_is_built_for_the_images_of_the_dataset() -> None:
    model = Torchvision(architecture="maxvit_t")
    with pytest.raises(SpecError, match=r"cannot build maxvit_t with these options: .* is not divisible by"):
        model.build(DATA)
    with torch.device("meta"):
        network = model.build(replace(DATA, image_size=448))
        assert network.eval()(torch.randn(1, 3, 448, 448)).shape == (1, 5)


def test_options_reach_the_network() -> None:
    network = built(Timm(architecture=SMALL, options=bb.Options({"drop_rate": 0.4})))
    assert network.drop_rate == 0.4


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Torchvision(architecture="resnet19"), "torchvision has no architecture 'resnet19'"),
        (
            Torchvision(options=bb.Options({"depth": 3})),
            "torchvision cannot build resnet18 with .*: .*depth",
        ),
        (
            Timm(architecture=SMALL, options=bb.Options({"depth": 3})),
            f"timm cannot build {SMALL} with .*: .*depth",
        ),
        (Torchvision(pretrained=True, weights=__file__), "both asked for"),
    ],
)
def test_what_a_library_cannot_build_is_refused(model: bb.Model, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        model.build(DATA)


def test_weights_that_cannot_be_downloaded_are_refused_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_hub_dir", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"resnet18-f37072fd\.pth are not here and cannot be downloaded") as caught:
        Torchvision(pretrained=True).build(DATA)
    assert time.monotonic() - started < 15
    assert str(tmp_path / "checkpoints" / "resnet18-f37072fd.pth") in caught.value.hint


WRAPPINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain": ("", ()),
    "lightning": ("model.", ()),
    "lightning, weighted loss": ("model.", ("criterion.weight",)),
    "lightning, compiled": ("model._orig_mod.", ()),
    "compiled, parallel": ("_orig_mod.module.", ()),
    "average": ("module.", ("n_averaged",)),
}
"""What programs put in front of the names of weights, and beside them."""


def saved(network: nn.Module, path: Path, how: str) -> Path:
    state: dict[str, Any] = network.state_dict()
    if how == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors")
    prefix, others = WRAPPINGS[how]
    weights = {f"{prefix}{key}": value for key, value in state.items()} | dict.fromkeys(others, torch.ones(7))
    torch.save({"state_dict": weights} if how.startswith("lightning") else weights, path)
    return path


@pytest.mark.parametrize("how", [*WRAPPINGS, "safetensors"])
def test_weights_come_from_a_file_and_a_head_of_another_size_stays_fresh(tmp_path: Path, how: str) -> None:
    theirs = built(Timm(architecture=SMALL), bb.DataSpec(3, 32, 7))
    for parameter in theirs.parameters():
        nn.init.constant_(parameter, 0.25)
    path = saved(theirs, tmp_path / "weights.pth", how)
    network = built(Timm(architecture=SMALL, weights=str(path)))
    fresh = built(Timm(architecture=SMALL))
    for name, value in network.state_dict().items():
        source = fresh if name.startswith("classifier") else theirs
        assert torch.equal(value, source.state_dict()[name]), name


@pytest.mark.parametrize(
    ("others", "tested"),
    [
        ({}, "model"),
        ({"average": 3.0}, "average"),
        ({"average": 3.0, "best": 4.0}, "best"),
        ({"best": None}, "model"),
    ],
    ids=["last", "average", "best", "no best yet"],
)
def test_of_a_trials_checkpoint_the_network_that_was_tested_is_taken(
    tmp_path: Path, others: dict[str, float | None], tested: str
) -> None:
    def filled(value: float | None) -> dict[str, Any]:
        state = built(ResNet()).state_dict()
        return {} if value is None else {name: torch.full_like(tensor, value) for name, tensor in state.items()}

    states: dict[str, Any] = {"model": filled(2.0), **{name: filled(value) for name, value in others.items()}}
    if "best" in states:
        states["best"] = {"epoch": 1, "rank": [0.5, 0.5], "weights": states["best"]}
    torch.save({"format": 1, "states": states}, tmp_path / "checkpoint.pt")
    network = built(ResNet(weights=str(tmp_path / "checkpoint.pt")))
    assert network.state_dict()["conv1.weight"].unique().tolist() == [{"model": 2, **others}[tested]]


def test_a_note_names_the_normalization_that_pretrained_weights_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    model = Timm(architecture="vit_tiny_patch16_224")
    network = built(model)
    model._compare_normalization(network, replace(DATA, mean=(0.5,), std=(0.5,)))
    assert capsys.readouterr().out == ""
    model._compare_normalization(network, replace(DATA, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    assert "--set 'dataset.mean=[0.5, 0.5, 0.5]' --set 'dataset.std=[0.5, 0.5, 0.5]'" in capsys.readouterr().out


@pytest.mark.slow
def test_weights_of_a_vision_transformer_fit_images_of_another_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    weights = models.get_model_weights("vit_b_16").DEFAULT
    path = tmp_path / "checkpoints" / Path(weights.url).name
    path.parent.mkdir()
    torch.save(models.vit_b_16().state_dict(), path)
    monkeypatch.setattr(hub, "_hub_dir", str(tmp_path))
    network = built(Torchvision(architecture="vit_b_16", pretrained=True), replace(DATA, image_size=64))
    assert network.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 5)


@pytest.mark.parametrize(
    ("model", "architecture", "size"),
    [(Torchvision, "vit_b_16", "image_size"), (Timm, "vit_tiny_patch16_224", "img_size")],
)
def test_weights_of_a_vision_transformer_from_a_file_fit_images_of_another_size(
    tmp_path: Path, model: type[bb.Model], architecture: str, size: str
) -> None:
    at_32 = built(model(architecture=architecture, options={size: 32}))
    path = saved(at_32, tmp_path / "weights.pth", "plain")
    at_64 = built(model(architecture=architecture, weights=str(path)), replace(DATA, image_size=64))
    assert at_64.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    kept = [name for name, value in at_32.state_dict().items() if "pos_embed" not in name]
    assert all(torch.equal(at_64.state_dict()[name], at_32.state_dict()[name]) for name in kept)


def test_grey_images_see_the_sum_of_the_weights_over_the_channels(tmp_path: Path) -> None:
    theirs = built(Torchvision())
    path = saved(theirs, tmp_path / "weights.pth", "plain")
    network = built(Torchvision(weights=str(path)), bb.DataSpec(1, 32, 5))
    assert torch.equal(network.conv1.weight, theirs.conv1.weight.sum(1, keepdim=True))  # type: ignore[operator, union-attr]


def test_weights_of_another_network_or_of_objects_are_refused(tmp_path: Path) -> None:
    other = saved(built(ResNet()), tmp_path / "other.pth", "plain")
    with pytest.raises(SpecError, match=r"are not those of this network: no conv_stem.weight, .*, and \d+ more"):
        Timm(architecture=SMALL, weights=str(other)).build(DATA)
    (tmp_path / "objects.pth").write_bytes(b"")
    torch.save({"model": Path("anything")}, tmp_path / "objects.pth")
    with pytest.raises(SpecError, match="cannot be read: UnpicklingError"):
        ResNet(weights=str(tmp_path / "objects.pth")).build(DATA)
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        ResNet(weights=str(tmp_path / "nowhere.pth"))


def test_a_trial_is_known_by_its_weights_and_not_by_their_path_alone(tmp_path: Path) -> None:
    path = saved(built(ResNet()), tmp_path / "weights.pth", "plain")
    before = ResNet(weights=str(path))
    assert len(before.weights_sha256) == 64
    other = nn.Linear(2, 2)
    torch.save(other.state_dict(), path)
    given = {"weights": str(path), "weights_sha256": before.weights_sha256}
    with pytest.raises(SpecError, match="are not those that weights_sha256 is of: their sha256 is") as caught:
        parameters.read(ResNet, given)
    assert caught.value.hint.endswith("--set model.weights_sha256=")
    again = parameters.read(ResNet, given, {"weights_sha256": ""})
    assert again.weights_sha256 not in ("", before.weights_sha256)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (
            Torchvision(architecture="mobilenet_v3_small", trainable="head"),
            {"classifier.3.weight", "classifier.3.bias"},
        ),
        (Torchvision(architecture="squeezenet1_1", trainable="head"), {"classifier.1.weight", "classifier.1.bias"}),
        (Timm(architecture=SMALL, trainable="head"), {"classifier.weight", "classifier.bias"}),
        (ResNet(trainable="head"), {"fc.weight", "fc.bias"}),
    ],
)
def test_a_head_is_trained_alone(model: bb.Model, names: set[str]) -> None:
    network = built(model)
    assert {name for name, parameter in network.named_parameters() if parameter.requires_grad} == names
    before = copy.deepcopy(network.state_dict())
    for optimizer in (SGD(lr=0.1, weight_decay=0.1), AdamW()):
        made = optimizer.build(network)
        network.train()(torch.randn(4, 3, 32, 32)).sum().backward()
        made.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == names, "running statistics stay too"
    assert copy.deepcopy(network).train().state_dict().keys() == before.keys()


def test_a_second_head_that_only_the_settings_of_timm_name_is_trained_too() -> None:
    with torch.device("meta"):
        network = Timm(architecture="volo_d1_224", trainable="head").build(DATA)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {"head.weight", "head.bias", "aux_head.weight", "aux_head.bias"}


@pytest.mark.slow
def test_a_trial_trains_the_head_of_weights_from_a_file(counter: SharedCounter, tmp_path: Path) -> None:
    path = saved(built(ResNet(), bb.DataSpec(3, 32, 7)), tmp_path / "weights.pth", "plain")
    registry = Registry.load()
    table = {
        "model": {"name": "resnet", "weights": str(path), "trainable": "head"},
        "dataset": {"name": "synthetic", "num_train": 60, "num_val": 20, "num_test": 20},
        "optimizer": {"name": "adamw", "clip_norm": 1.0},
        "scheduler": {"name": "cosine", "warmup_epochs": 0.5},
        "epochs": 1,
        "batch_size": 20,
        "ema_decay": 0.5,
        "select": "best_val",
    }
    job = TrialJob(
        spec=registry.resolve(Draft.from_toml(table)),
        attempt="1",
        data_root=str(tmp_path),
        folder=str(tmp_path / "trial" / "1"),
        training=TrainingOptions(device="cpu", checkpoint_every=0),
    )
    *_, finished = run_trial(job, registry, counter=counter)
    assert isinstance(finished, Finished), finished
    assert not finished.notes
    states = torch.load(tmp_path / "trial" / "1" / "checkpoint.pt", weights_only=True)["states"]
    theirs = torch.load(path, weights_only=True)
    assert torch.equal(states["model"]["layer4.1.bn2.running_mean"], theirs["layer4.1.bn2.running_mean"])
    assert torch.equal(states["model"]["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
    assert list(states["optimizer"]["state"]) == [0, 1]


def test_weights_of_a_deeper_network_are_refused(tmp_path: Path) -> None:
    deeper = saved(built(ResNet(layers=34)), tmp_path / "deeper.pth", "plain")
    with pytest.raises(SpecError, match=r"are not those of this network: layer1\.2\.conv1\.weight has no place in it"):
        ResNet(layers=18, weights=str(deeper)).build(DATA)


def test_auxiliary_outputs_and_another_head_may_be_left_over(tmp_path: Path) -> None:
    theirs = built(ResNet())
    state = theirs.state_dict() | {"aux.0.weight": torch.ones(2, 2), "fc.extra.bias": torch.ones(2)}
    torch.save(state, tmp_path / "weights.pth")
    network = built(ResNet(weights=str(tmp_path / "weights.pth")))
    assert torch.equal(network.get_parameter("conv1.weight"), theirs.get_parameter("conv1.weight"))


def test_a_network_may_have_more_outputs_than_classes(tmp_path: Path) -> None:
    options = bb.Options({"num_classes": 20})
    network = built(Torchvision(options=options))
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 20)
    path = saved(network, tmp_path / "weights.pth", "plain")
    frozen = built(Torchvision(options=options, weights=str(path), trainable="head"))
    trained = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert trained == {"fc.weight", "fc.bias"}
    assert torch.equal(frozen.get_parameter("fc.weight"), network.get_parameter("fc.weight"))


@pytest.mark.parametrize("architecture", ["googlenet", "densenet121", "mnasnet0_5"])
def test_published_weights_compute_what_they_compute_in_torchvision(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    weights = models.get_model_weights(architecture).DEFAULT
    with_aux = {"aux_logits": True, "init_weights": False} if architecture == "googlenet" else {}
    torch.manual_seed(1)
    state = models.get_model(architecture, **with_aux).state_dict()
    if architecture.startswith("densenet"):
        # The published file is older than today's names, and than the counters of batch normalisation.
        counted = [name for name in state if not name.endswith("num_batches_tracked")]
        state = {re.sub(r"\.(norm|conv)([12])\.", r".\1.\2.", name): state[name] for name in counted}
    path = tmp_path / "checkpoints" / Path(weights.url).name
    path.parent.mkdir()
    torch.save(state, path)
    monkeypatch.setattr(hub, "_hub_dir", str(tmp_path))
    theirs = models.get_model(architecture, weights=weights).eval()
    ours = built(Torchvision(architecture=architecture, pretrained=True), bb.DataSpec(3, 64, 1000)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
