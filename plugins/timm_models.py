"""Any image classifier of the timm library, by its name there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchbench_plugins.pretrained import PretrainedModel

import benchbench as bb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""The names under which timm's weights are on the hub. The second one is pickled: timm itself reads it, safely."""

RESIZING = "crossvit"
"""The beginning of the names of networks that bring images to their own size themselves."""

PROBE_SECONDS = 5.0
"""How long the hub may take to answer. Without this probe its client retries for over a minute."""


def create(
    architecture: str, data: bb.DataSpec, *, pretrained: bool, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return timm's network of that name with an output per class. ``options`` are passed on to it.

    Raises :class:`~benchbench.SpecError` for an unknown name or option and :class:`~benchbench.ModelError` if
    pretrained weights cannot be downloaded.
    """
    import timm

    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture}*")[:5]
        raise bb.SpecError(
            f"timm has no architecture {architecture!r}",
            hint=f"near it: {', '.join(near)}" if near else 'python -c "import timm; print(timm.list_models())"',
        )
    arguments: dict[str, Any] = {"num_classes": data.num_classes, "in_chans": data.num_channels, **(options or {})}
    size = {} if "img_size" in arguments else _size_option(architecture, data.image_size)
    if pretrained:
        arguments |= _pretrained_options(architecture)
    try:
        model = _created(architecture, size | arguments, without=size)
    except TypeError as error:
        raise bb.SpecError(
            f"timm cannot build {architecture} with these options: {error}",
            hint="model.options are arguments of the network in timm",
        ) from error
    except OSError as error:  # of the hub's client and of torch.hub
        raise _no_weights(architecture, str(error)) from error
    return model


def _size_option(architecture: str, image_size: int) -> dict[str, int]:
    """Return the option for images of another size than those that a network takes by default, and takes alone."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    is_fixed = config is not None and config.fixed_input_size and config.input_size[-1] != image_size
    return {"img_size": image_size} if is_fixed and not architecture.startswith(RESIZING) else {}


def _created(architecture: str, arguments: dict[str, Any], *, without: dict[str, int]) -> nn.Module:
    """Return the network; a few with an input of one size know no option for another."""
    import timm

    try:
        return timm.create_model(architecture, **arguments)
    except TypeError:
        if not without:
            raise
        return timm.create_model(architecture, **{name: arguments[name] for name in arguments if name not in without})


def _pretrained_options(architecture: str) -> dict[str, Any]:
    """Return the options that load pretrained weights, from the hub's cache if they are there."""
    import timm

    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.has_weights:
        raise bb.SpecError(f"timm has no pretrained weights for {architecture!r}", hint="pretrained = false")
    if not config.hf_hub_id:
        return {"pretrained": True}
    path = _cached(config.hf_hub_id)
    if path is None:
        _probe_hub(architecture)
        return {"pretrained": True}
    # Some networks once had archives of numpy: older timms would read the file as one without the second key.
    overlay = {"file": str(path), "custom_load": False}
    return {"pretrained": True} | ({} if path.suffix == ".bin" else {"pretrained_cfg_overlay": overlay})


def _cached(hub_id: str) -> Path | None:
    """Return the file of weights in the cache of the hub's client, if there is one."""
    from pathlib import Path

    from huggingface_hub import try_to_load_from_cache

    repo_id, _, revision = hub_id.partition("@")
    for name in WEIGHT_FILES:
        path = try_to_load_from_cache(repo_id, name, revision=revision or None)
        if isinstance(path, str):
            return Path(path)
    return None


def _probe_hub(architecture: str) -> None:
    """Raise :class:`~benchbench.ModelError` within seconds if the hub cannot be reached."""
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise _no_weights(architecture, "HF_HUB_OFFLINE is set")
    try:
        requests.head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except requests.RequestException as error:
        raise _no_weights(architecture, f"{constants.ENDPOINT} cannot be reached ({type(error).__name__})") from error


def _no_weights(architecture: str, reason: str) -> bb.ModelError:
    from huggingface_hub import constants

    return bb.ModelError(
        f"the pretrained weights of {architecture} are not here and cannot be downloaded: {reason}",
        hint=(
            "run this once on a machine with a network and copy its folder "
            f"{constants.HF_HUB_CACHE} here, or train from random weights: pretrained = false"
        ),
    )


class Timm(PretrainedModel, name="timm", revision=2):  # type: ignore[call-arg, misc] # mypy does not see the base
    """An architecture of timm by name, optionally with pretrained weights.

    Options are passed to the network by timm.create_model, such as ``{ drop_path_rate = 0.1 }``. With
    ``trainable = "head"``, batch normalization of the frozen layers stays in eval mode.
    """

    architecture: str = bb.param("mobilenetv3_small_100", "name in timm.list_models()")
    options: bb.Options = bb.param(bb.Options(), "further arguments of the network")

    def create(self, data: bb.DataSpec) -> nn.Module:
        """Return the network from timm."""
        return create(self.architecture, data, pretrained=self.pretrained, options=self.options)

    def resized(self, network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return weights for images of the network's size, which positions in a vision transformer depend on."""
        from timm.layers.pos_embed import resample_abs_pos_embed
        from timm.models import VisionTransformer

        positions = weights.get("pos_embed")
        if not isinstance(network, VisionTransformer) or positions is None:
            return weights
        num_prefix_tokens = 0 if network.no_embed_class else network.num_prefix_tokens
        grid = list(network.patch_embed.grid_size)
        try:
            resized = resample_abs_pos_embed(positions, grid, num_prefix_tokens=num_prefix_tokens)
        except RuntimeError:  # weights of another network, which is said when they are taken
            return weights
        return weights | {"pos_embed": resized}


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer timm's architectures."""
    return [Timm]
