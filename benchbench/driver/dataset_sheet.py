"""A sheet of a dataset's images, as the network sees them, for ``bench data show``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchbench.config.composition import NOTHING
from benchbench.data.split_checks import cut_problem
from benchbench.driver.augmentation_preview import augment
from benchbench.errors import SpecError
from benchbench.protocol.preview_messages import AugmentRequest
from benchbench.report.contact_sheet import draw_sheet, names_of_numbered, picked

if TYPE_CHECKING:
    from PIL import Image

    from benchbench.config.spec import PluginDraft
    from benchbench.data.cache import LoadedDataset
    from benchbench.data.split_arrays import SplitArrays
    from benchbench.driver.datasets import OpenedDataset


def draw_dataset(
    opened: OpenedDataset, loaded: LoadedDataset, *, num_images: int
) -> tuple[Image.Image, dict[str, str]]:
    """Return images of each split as the network sees them, and the names of classes that are numbers, by caption.

    Raises :class:`~benchbench.errors.SpecError` if ``image_size`` would cut the images.
    """
    problem = cut_problem(opened.dataset, loaded.facts.image_shape)
    if problem:
        raise SpecError(problem, hint="--set dataset.fit=resize or crop makes them fit")
    shown = {
        f"{split_name}: {len(split):,} images": picked(split, num_images) for split_name, split in loaded.splits.items()
    }
    if opened.augmentation and opened.augmentation.name != NOTHING:
        train = _augmented(picked(loaded.splits["train"], num_images), opened.augmentation, opened, loaded)
        shown = {f"train, augmented by {opened.augmentation.name}": train, **shown}
    class_names = loaded.facts.class_names
    sheet = draw_sheet(shown, class_names, image_size=opened.dataset.image_size)
    return sheet, names_of_numbered(shown.values(), class_names)


def _augmented(
    images: SplitArrays, augmentation: PluginDraft, opened: OpenedDataset, loaded: LoadedDataset
) -> SplitArrays:
    request = AugmentRequest(
        augmentation,
        image_size=opened.dataset.image_size,
        num_classes=len(loaded.facts.class_names),
        mean=opened.dataset.mean,
        plugin_files=opened.plugin_files,
    )
    return replace(images, images=augment(images.images, images.labels, request))
