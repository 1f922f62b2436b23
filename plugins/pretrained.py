"""What the models of libraries have in common: weights from a file, and the choice of what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from benchbench_plugins.heads import freeze_all_but, head_of
from benchbench_plugins.weight_files import read_weights, sha256_of, take_weights
from pydantic import ValidationInfo, field_validator

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


TOLERANCE = 0.01
"""Of means and deviations, which are published rounded."""


class PretrainedModel(bb.Model):
    """A network of a library. Subclasses make the network in ``create``."""

    pretrained: bool = bb.param(False, "start from downloaded weights instead of random ones")
    weights: str | None = bb.param(None, "file of weights to start from, .safetensors or of torch.save")
    weights_sha256: str = bb.param("", "digest of that file; filled in, and checked if given")
    trainable: Literal["all", "head"] = bb.param("all", "train the whole network, or only its last layer")

    @field_validator("weights_sha256")
    @classmethod
    def _check_digest(cls, digest: str, info: ValidationInfo) -> str:
        """Return the digest of the file, so that a trial is identified by its weights and not by a path."""
        path = info.data.get("weights")
        if path is None:
            return ""
        actual: str = sha256_of(path)
        if digest not in ("", actual):
            raise bb.SpecError(
                f"the weights in {path} are not those that weights_sha256 is of: their sha256 is {actual[:12]}...,"
                f" not {digest[:12]}...",
                hint="if these are the weights to use: --set model.weights_sha256=",
            )
        return actual

    def build(self, data: bb.DataSpec) -> nn.Module:
        """Return the network with the weights that were asked for, frozen but for its head if that was asked for."""
        if self.pretrained and self.weights is not None:
            raise bb.SpecError("pretrained weights and a file of weights are both asked for", hint="pretrained = false")
        network = self.create(data)
        if self.pretrained:
            self._compare_normalization(network, data)
        if self.weights is not None:
            weights = self.resized(network, read_weights(self.weights, network))
            take_weights(network, weights, head=head_of(network, self.num_outputs(data)), source=self.weights)
        if self.trainable == "head":
            freeze_all_but(network, head_of(network, self.num_outputs(data)))
        return network

    def _compare_normalization(self, network: nn.Module, data: bb.DataSpec) -> None:
        """Print a note if the images are normalized otherwise than those that the weights were trained on."""
        theirs = self.normalization(network)
        if theirs is None or not data.mean or len(theirs[0]) != data.num_channels:
            return
        ours = (data.mean, data.std)
        if all(np.allclose(our, their, atol=TOLERANCE) for our, their in zip(ours, theirs, strict=True)):
            return
        settings = " ".join(
            f"--set 'dataset.{name}={list(values)}'" for name, values in zip(("mean", "std"), theirs, strict=True)
        )
        print(  # noqa: T201 - bench shows it as a note
            f"{getattr(self, 'architecture', self.name)}: the pretrained weights expect another normalization of the"
            f" images: {settings}"
        )

    def normalization(self, network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return the mean and the deviation of images for the downloaded weights, per channel, if they are known."""
        config: Mapping[str, Any] = getattr(network, "pretrained_cfg", {})
        return (tuple(config["mean"]), tuple(config["std"])) if {"mean", "std"} <= set(config) else None

    def num_outputs(self, data: bb.DataSpec) -> int:
        """Return how many logits the network has: one for each class, if no option says otherwise."""
        options: Mapping[str, Any] = getattr(self, "options", {})
        return int(options.get("num_classes", data.num_classes))

    def resized(self, network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return weights for images of the network's size, if some depend on it, as positions in a transformer do."""
        del network
        return weights

    def create(self, data: bb.DataSpec) -> nn.Module:
        """Return the network, with pretrained weights if they are asked for."""
        raise NotImplementedError
