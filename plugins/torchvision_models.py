"""Any image classifier of torchvision, by its name there."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchbench_plugins.heads import head_of
from benchbench_plugins.pretrained import PretrainedModel
from benchbench_plugins.weight_files import take_weights
from torch import nn

import benchbench as bb

if TYPE_CHECKING:
    from torch import Tensor

RGB = 3
PROBE_SECONDS = 5.0
"""How long the server of weights may take to answer."""


class Torchvision(PretrainedModel, name="torchvision"):  # type: ignore[call-arg, misc] # mypy does not see the base
    """A classifier of torchvision by name, such as resnet18, efficientnet_b0, convnext_tiny, swin_t or vit_b_16.

    Options are the arguments of its function there, such as ``{ dropout = 0.2 }``. Networks with auxiliary outputs
    are built without them. With ``trainable = "head"``, batch normalization of the frozen layers stays in eval mode.
    """

    architecture: str = bb.param("resnet18", "name in torchvision.models.list_models()")
    options: bb.Options = bb.param(bb.Options(), "further arguments of the network's function")

    def create(self, data: bb.DataSpec) -> nn.Module:
        """Return the network from torchvision, for images of any number of channels."""
        network = _network(self.architecture, data, self.options, pretrained=self.pretrained)
        _adapt_channels(network, data.num_channels)
        if self.pretrained:
            url = _weights_url(self.architecture)
            weights = self.resized(network, _downloaded(url))
            take_weights(network, weights, head=head_of(network, self.num_outputs(data)), source=url)
        return network

    def resized(self, network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return weights for images of the network's size, which positions in a vision transformer depend on."""
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        if not isinstance(network, VisionTransformer) or "encoder.pos_embedding" not in weights:
            return weights
        try:
            resized: dict[str, Tensor] = interpolate_embeddings(
                network.image_size, network.patch_size, OrderedDict(weights)
            )
        except ValueError:  # weights of another network, which is said when they are taken
            return weights
        return resized

    def normalization(self, network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return what torchvision's own preprocessing for the weights uses."""
        from torchvision import models

        del network
        preset = models.get_model_weights(self.architecture).DEFAULT.transforms()
        return tuple(preset.mean), tuple(preset.std)


def _network(architecture: str, data: bb.DataSpec, options: bb.Options, *, pretrained: bool) -> nn.Module:
    from torchvision import models

    if architecture not in models.list_models(module=models):
        near = models.list_models(module=models, include=f"*{architecture}*")[:5]
        every = 'python -c "from torchvision import models; print(models.list_models(module=models))"'
        raise bb.SpecError(
            f"torchvision has no architecture {architecture!r}", hint=f"near it: {', '.join(near)}" if near else every
        )
    arguments: dict[str, Any] = {"num_classes": data.num_classes, **options}
    if architecture in ("googlenet", "inception_v3"):
        # Their published weights are of images that were normalized otherwise: torchvision converts them so, too.
        is_converted = pretrained and data.num_channels == RGB
        arguments = {"aux_logits": False, "init_weights": True, "transform_input": is_converted} | arguments
    if architecture.startswith("vit_"):
        arguments = {"image_size": data.image_size} | arguments
    if architecture.startswith("maxvit_"):
        arguments = {"input_size": (data.image_size, data.image_size)} | arguments
    try:
        network: nn.Module = models.get_model(architecture, weights=None, **arguments)
    except (TypeError, ValueError) as error:
        raise bb.SpecError(
            f"torchvision cannot build {architecture} with these options: {error}",
            hint="model.options are arguments of its function",
        ) from error
    return network


def _adapt_channels(network: nn.Module, num_channels: int) -> None:
    """Give a network that takes color images a first convolution of another number of channels, freshly drawn."""
    name, first = next((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    if first.in_channels == num_channels:
        return
    parent = network.get_submodule(name.rpartition(".")[0])
    adapted = copy.copy(first)
    adapted.in_channels = num_channels
    shape = (first.out_channels, num_channels, *first.kernel_size)
    adapted._parameters = dict(first._parameters)  # noqa: SLF001 - a copy that shares the bias
    adapted.weight = nn.Parameter(first.weight.new_empty(shape))
    nn.init.kaiming_normal_(adapted.weight, mode="fan_out", nonlinearity="relu")
    setattr(parent, name.rpartition(".")[2], adapted)


def _weights_url(architecture: str) -> str:
    from torchvision import models

    return str(models.get_model_weights(architecture).DEFAULT.url)


def _downloaded(url: str) -> dict[str, Tensor]:
    """Return weights from torch's folder of downloads, or the network, checked by the digest in their name."""
    import requests
    from torch import hub

    name = Path(urlsplit(url).path).name
    path = Path(hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        try:
            requests.head(url, timeout=PROBE_SECONDS)
        except requests.RequestException as error:
            raise _no_weights(name, path, f"{type(error).__name__}") from error
    try:
        weights: dict[str, Tensor] = hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise _no_weights(name, path, str(error).partition("\n")[0]) from error
    return weights


def _no_weights(name: str, path: Path, reason: str) -> bb.ModelError:
    # Given as a file, nothing tells that they are published weights, for which these two convert the images.
    option = " --set 'model.options={transform_input = true}'" if name.startswith(("googlenet", "inception")) else ""
    return bb.ModelError(
        f"the pretrained weights {name} are not here and cannot be downloaded: {reason}",
        hint=(
            f"download {name} elsewhere and put it at {path}, give it as a file (--set model.weights=FILE{option}),"
            " or train from random weights: pretrained = false"
        ),
    )


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer torchvision's classifiers."""
    return [Torchvision]
