"""Any image classifier of the timm library, by its name there."""

from __future__ import annotations

from torch import nn

import benchbench as bb


def create(architecture: str, data: bb.DataSpec, *, pretrained: bool) -> nn.Module:
    """Return timm's network of that name with an output per class, or raise :class:`~benchbench.SpecError`."""
    import timm

    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture}*")[:5]
        raise bb.SpecError(
            f"timm has no architecture {architecture!r}",
            hint=f"near it: {', '.join(near)}" if near else 'python -c "import timm; print(timm.list_models())"',
        )
    model: nn.Module = timm.create_model(
        architecture, pretrained=pretrained, num_classes=data.num_classes, in_chans=data.num_channels
    )
    return model


class Timm(bb.Model, name="timm"):
    """An architecture of timm by name, with weights trained elsewhere if asked for."""

    architecture: str = bb.param("mobilenetv3_small_100", "as timm.list_models() names it")
    pretrained: bool = bb.param(False, "start from downloaded weights instead of random ones")

    def build(self, data: bb.DataSpec) -> nn.Module:
        """Return the network from timm."""
        return create(self.architecture, data, pretrained=self.pretrained)


@bb.hookimpl
def benchbench_models() -> list[type[bb.Model]]:
    """Offer timm's architectures."""
    return [Timm]
