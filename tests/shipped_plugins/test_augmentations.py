"""Each shipped augmentation: what becomes of images, how often, and that torchvision does the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from benchbench_plugins import image_operations, policies
from benchbench_plugins.color_jitter import ColorJitter
from benchbench_plugins.crop_flip import CropFlip
from benchbench_plugins.flip import Flip
from benchbench_plugins.mixing import CutMix, Mixup
from benchbench_plugins.rand_augment import RandAugment
from benchbench_plugins.random_erasing import RandomErasing
from benchbench_plugins.random_resized_crop import RandomResizedCrop
from benchbench_plugins.trivial_augment import STRENGTHS, TrivialAugment
from torchvision.transforms import InterpolationMode, autoaugment
from torchvision.transforms import functional as torchvision

import benchbench as bb
from benchbench.plugin import parameters

if TYPE_CHECKING:
    from torch import Tensor

HEIGHT, WIDTH = 24, 32
SPEC = bb.ImageSpec(3, HEIGHT, WIDTH, num_classes=4, mean=(0.5, 0.25, 1.0))
ZEROS = torch.zeros(1, dtype=torch.int64)


def photos(count: int = 1, *, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Return noise, smoothed so that neighbours are alike."""
    noise = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(5)) * 255
    smooth = torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1, count_include_pad=False)
    return ((smooth - 127) * 2 + 127).clamp(0, 255).byte()


def uniform(count: int, plugin: bb.Augmentation) -> Tensor:
    return torch.rand(count, plugin.num_draws, generator=torch.Generator().manual_seed(1))


def augmented(plugin: bb.Augmentation, images: Tensor, draws: Tensor | None = None) -> Tensor:
    draws = uniform(len(images), plugin) if draws is None else draws
    changed, _ = plugin.build(SPEC)(images, torch.zeros(len(images), dtype=torch.int64), draws)
    return changed


def test_a_flip_mirrors_as_many_images_as_asked_for() -> None:
    images = photos(2000, height=4, width=6)
    flipped = Flip(p=0.25).build(SPEC)(images, torch.zeros(2000, dtype=torch.int64), uniform(2000, Flip()))[0]
    is_flipped = (flipped == images.flip(-1)).flatten(1).all(dim=1)
    assert torch.equal(flipped[~is_flipped], images[~is_flipped])
    assert 0.22 < is_flipped.float().mean() < 0.28


@pytest.mark.parametrize(("p", "draw"), [(0.0, 0.0), (1.0, 0.9999999)])
def test_probabilities_of_0_and_1_are_never_and_always(p: float, draw: float) -> None:
    images = photos()
    changed = augmented(Flip(p=p), images, torch.tensor([[draw]]))
    assert torch.equal(changed, images.flip(-1) if p else images)


@pytest.mark.parametrize(("row", "column", "flips"), [(0, 0, False), (4, 4, False), (8, 3, True), (0, 8, True)])
@pytest.mark.parametrize("mode", ["reflect", "black"])
def test_a_shifted_crop_is_that_of_torchvision(row: int, column: int, flips: bool, mode: str) -> None:
    images = photos()
    draws = torch.tensor([[(row + 0.5) / 9, (column + 0.5) / 9, 0.1 if flips else 0.9]])
    padded = torchvision.pad(images, [4], padding_mode="reflect" if mode == "reflect" else "constant")
    right = torchvision.crop(padded, row, column, HEIGHT, WIDTH)
    plugin = parameters.read(CropFlip, {"mode": mode})
    assert torch.equal(augmented(plugin, images, draws), right.flip(-1) if flips else right)


def test_all_shifts_are_as_likely() -> None:
    images = torch.arange(HEIGHT, dtype=torch.uint8)[None, None, :, None].expand(9000, 3, HEIGHT, WIDTH)
    rows = augmented(CropFlip(), images)[:, 0, 10, 0].long() - 10
    counts = torch.bincount(rows + 4, minlength=9)
    assert len(counts) == 9
    assert counts.min() > 850
    assert counts.max() < 1150


def test_a_margin_that_cannot_be_mirrored_is_refused() -> None:
    with pytest.raises(bb.SpecError, match="too wide for images of 24x32"):
        CropFlip(padding=24).build(SPEC)


@pytest.mark.parametrize("box", [(0, 0, 24, 32), (3, 5, 12, 16), (10, 0, 7, 31), (23, 31, 1, 1)])
def test_an_enlarged_box_is_that_of_torchvision(box: tuple[int, int, int, int]) -> None:
    images = photos()
    ours = image_operations.resized_boxes(images, *(torch.tensor([float(number)]) for number in box))
    theirs = torchvision.resized_crop(images, *box, size=[HEIGHT, WIDTH], antialias=True)
    assert (ours.int() - theirs.int()).abs().max() <= 1


def test_boxes_of_a_resized_crop_have_the_areas_and_shapes_that_are_asked_for() -> None:
    rows = torch.arange(HEIGHT).view(1, 1, -1, 1).expand(-1, -1, -1, WIDTH)
    columns = torch.arange(WIDTH).view(1, 1, 1, -1).expand(-1, -1, HEIGHT, -1)
    images = torch.cat((rows, columns, columns), dim=1).expand(3000, -1, -1, -1).float()
    cropped = augmented(RandomResizedCrop(scale=(0.25, 0.5), ratio=(0.5, 2.0), p=0.0), images)
    height = cropped[:, 0, -1, 0] - cropped[:, 0, 0, 0] + 1
    width = cropped[:, 1, 0, -1] - cropped[:, 1, 0, 0] + 1
    areas, ratios = height * width / (HEIGHT * WIDTH), width / height
    assert areas.min() > 0.22
    assert areas.max() < 0.55
    assert 0.35 < areas.mean() < 0.4
    assert ratios.min() > 0.45
    assert ratios.max() < 2.2
    assert (ratios.log() > 0).float().mean() == pytest.approx(0.5, abs=0.06)


def test_where_no_box_fits_the_largest_in_the_middle_is_taken() -> None:
    plugin = RandomResizedCrop(scale=(1.0, 1.0), ratio=(0.5, 0.5), p=0.0)
    right = torchvision.resized_crop(photos(), 0, 10, 24, 12, size=[HEIGHT, WIDTH])
    assert (augmented(plugin, photos()).int() - right.int()).abs().max() <= 1


@pytest.mark.parametrize("plugin", [RandomResizedCrop(scale=(0.5, 0.1)), RandomErasing(ratio=(0.0, 1.0))])
def test_ranges_that_are_none_are_refused(plugin: bb.Augmentation) -> None:
    with pytest.raises(bb.SpecError, match="must rise"):
        plugin.build(SPEC)


def test_erasing_puts_the_mean_color_into_a_box_of_some_images() -> None:
    images = torch.full((4000, 3, HEIGHT, WIDTH), 7, dtype=torch.uint8)
    erased = augmented(RandomErasing(), images)
    is_erased = (erased != 7).all(dim=1)
    fractions = is_erased.float().mean(dim=(1, 2))
    chosen = fractions > 0
    assert 0.22 < chosen.float().mean() < 0.28
    assert fractions[chosen].min() > 0.01
    assert fractions[chosen].max() < 0.36
    assert erased.permute(0, 2, 3, 1)[is_erased].unique(dim=0).tolist() == [[128, 64, 255]]
    rows, columns = is_erased[chosen][0].any(dim=1).sum(), is_erased[chosen][0].any(dim=0).sum()
    assert rows * columns == is_erased[chosen][0].sum(), "it is a box"


@pytest.mark.parametrize("bin_number", [0, 7, 29])  # at 135 degrees, pixels on the diagonal are between two others
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", policies.NAMES)
def test_each_operation_is_that_of_torchvision(name: str, sign: int, bin_number: int) -> None:
    space = autoaugment.TrivialAugmentWide()._augmentation_space(31)
    theirs = {key.lower(): value for key, value in space.items()} | {"saturation": space["Color"]}
    magnitudes, is_signed = theirs[name.replace("_", "")]
    strength = float(magnitudes[bin_number]) if magnitudes.ndim else 0.0
    chosen = torch.tensor([policies.NAMES.index(name)])
    ours = STRENGTHS.table(31)[chosen, bin_number]
    assert float(ours) == pytest.approx(strength)
    direction = policies.signs(torch.tensor([0.2 if sign < 0 else 0.7]), chosen)
    assert float(direction) == (sign if is_signed else 1)
    names = {key.lower(): key for key in space} | {"saturation": "Color"}
    right = autoaugment._apply_op(
        photos(),
        names[name.replace("_", "")],
        strength * float(direction),
        interpolation=InterpolationMode.NEAREST,
        fill=None,
    )
    changed = policies.apply(photos(), chosen, ours * direction)
    # Nearest pixels and whole numbers may be rounded to the other side.
    assert ((changed.int() - right.int()).abs() > 1).float().mean() < 0.002


def test_operations_are_drawn_for_each_image_and_as_likely() -> None:
    chosen = policies.choose(torch.rand(14_000, generator=torch.Generator().manual_seed(0)))
    counts = torch.bincount(chosen, minlength=14)
    assert len(counts) == 14
    assert counts.min() > 850
    images = photos().expand(64, -1, -1, -1)
    for plugin in (TrivialAugment(), RandAugment()):
        assert len(augmented(plugin, images).flatten(1).unique(dim=0)) > 30


def test_the_ranges_of_rand_augment_are_those_of_torchvision() -> None:
    space = autoaugment.RandAugment()._augmentation_space(31, (HEIGHT, WIDTH))
    images = photos(4)
    index = policies.NAMES.index("translate_x")
    draws = torch.tensor([[(index + 0.5) / 14, 0.7]]).expand(4, -1)
    moved = augmented(RandAugment(num_ops=1), images, draws)
    pixels = int(space["TranslateX"][0][9])
    assert torch.equal(moved[..., pixels:], images[..., :-pixels])
    assert not moved[..., :pixels].any()


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_changes_of_colors_are_those_of_torchvision(name: str, factor: float) -> None:
    ours = getattr(image_operations, name)(photos(), torch.tensor([factor]))
    right = getattr(torchvision, f"adjust_{name}")(photos(), factor)
    assert (ours.int() - right.int()).abs().max() <= 1


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1), (3, 3)])
def test_images_without_an_inside_are_as_sharp_as_torchvision_leaves_them(size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = image_operations.sharpness(images, torch.tensor([0.2]))
    assert (ours.int() - torchvision.adjust_sharpness(images, 0.2).int()).abs().max() <= 1


def test_a_change_of_saturation_leaves_an_image_without_colors_as_it_is() -> None:
    """Also if the factor and its complement do not add up to 1."""
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for factor in (0.6, 1.3000001):
        assert torch.equal(image_operations.saturation(images, torch.tensor([factor])), images)


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.3])
def test_a_turn_of_the_hue_is_that_of_torchvision(shift: float) -> None:
    ours = image_operations.hue(photos(), torch.tensor([shift]))
    assert (ours.int() - torchvision.adjust_hue(photos(), shift).int()).abs().max() <= 1


def test_the_middle_of_all_ranges_changes_no_color() -> None:
    assert (augmented(ColorJitter(), photos(3), torch.full((3, 4), 0.5)).int() - photos(3).int()).abs().max() <= 1


def test_images_of_one_channel_are_changed_too() -> None:
    grey = photos(8)[:, :1]
    for plugin in (ColorJitter(), TrivialAugment(), RandAugment(), RandomErasing()):
        spec = bb.ImageSpec(1, HEIGHT, WIDTH, num_classes=4, mean=(0.5,))
        changed, _ = plugin.build(spec)(grey, torch.zeros(8, dtype=torch.int64), uniform(8, plugin))
        assert changed.shape == grey.shape


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_mixup_mixes_with_the_next_image_by_fractions_of_the_beta_distribution(alpha: float) -> None:
    count = 8000
    labels = torch.arange(count) % 4
    images = labels.float()[:, None, None, None].expand(-1, 3, 2, 2) * 10
    mixed, targets = Mixup(alpha=alpha).build(SPEC)(images, labels, uniform(count, Mixup()))
    numbers = torch.arange(4).float()
    assert torch.allclose(mixed[:, 0, 0, 0], targets @ numbers * 10, atol=1e-4)
    fractions = targets[torch.arange(count), labels]
    assert fractions.mean() == pytest.approx(0.5, abs=0.015)
    assert fractions.std() == pytest.approx(math.sqrt(1 / (4 * (2 * alpha + 1))), rel=0.03)


def test_cutmix_mixes_labels_by_the_area_of_the_box() -> None:
    labels = torch.tensor([0, 1, 2, 3] * 500)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 3, HEIGHT, WIDTH)
    cut, targets = CutMix().build(SPEC)(images, labels, uniform(2000, CutMix()))
    assert cut.dtype == torch.uint8
    for number in range(4):
        area = (cut[:, 0] == number * 10).float().mean(dim=(1, 2))
        assert torch.allclose(area, targets[:, number], atol=1e-5)
    assert (targets > 0).sum(dim=1).max() == 2
    assert len(targets[:, 0].unique()) > 100, "each image has a box of its own"


def test_mixing_leaves_images_alone_with_probability_0_and_takes_mixed_labels_too() -> None:
    images, labels = photos(4).float(), torch.arange(4)
    for plugin in (Mixup(p=0.0), CutMix(p=0.0)):
        mixed, targets = plugin.build(SPEC)(images, labels, uniform(4, plugin))
        assert torch.equal(mixed, images)
        assert torch.equal(targets, torch.eye(4))
    _, twice = CutMix().build(SPEC)(*Mixup().build(SPEC)(images, labels, uniform(4, Mixup())), uniform(4, CutMix()))
    assert torch.allclose(twice.sum(dim=1), torch.ones(4))
