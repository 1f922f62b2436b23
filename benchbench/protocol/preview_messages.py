"""What the process is asked for that augments images to be shown."""

from __future__ import annotations

from dataclasses import dataclass

from benchbench.config.spec import PluginDraft


@dataclass(frozen=True)
class AugmentRequest:
    """An augmentation, or several as one, and what it is told of the images, which lie beside the request."""

    augmentation: PluginDraft
    image_size: int
    num_classes: int
    mean: tuple[float, ...]
    plugin_files: tuple[str, ...] = ()
