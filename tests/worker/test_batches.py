import pytest
import torch
from benchbench_plugins.flip import Flip
from PIL import Image
from torchvision import transforms

import benchbench as bb
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.dataset import Split
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing, pad_or_crop

CPU = torch.device("cpu")
PAPER = Preprocessing(150, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def make_images(count: int, *, height: int = 64, width: int = 64) -> Split:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count))


def batches(split: Split, preprocessing: Preprocessing = PAPER, *, batch_size: int = 4, flips: bool = False) -> Batches:
    data = ImageSpec(3, *split.images.shape[2:], num_classes=10, mean=(0.5, 0.5, 0.5))
    augmenter = Augmenter.of([Flip()] if flips else [], data)
    return Batches(split, preprocessing, batch_size=batch_size, device=CPU, augmenter=augmenter)


@pytest.mark.parametrize("size", [150, 151, 64, 63, 48, 33])
def test_images_are_bit_for_bit_those_of_torchvisions_transforms(size: int) -> None:
    split = make_images(5)
    theirs = transforms.Compose(
        [
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(PAPER.mean, PAPER.std),
        ]
    )
    ours = Preprocessing(size, PAPER.mean, PAPER.std)
    (images, _), *_rest = batches(split, ours).in_order()
    for image, pixels in zip(images[:5], split.images, strict=False):
        assert torch.equal(image, theirs(Image.fromarray(pixels.permute(1, 2, 0).numpy())))


@pytest.mark.parametrize("shape", [(64, 100), (100, 64), (200, 40), (151, 150)])
def test_images_that_are_no_squares_are_cut_as_torchvision_cuts_them(shape: tuple[int, int]) -> None:
    images = make_images(2, height=shape[0], width=shape[1]).images
    assert torch.equal(pad_or_crop(images, 90), transforms.CenterCrop(90)(images))


@pytest.mark.parametrize(("height", "width", "size"), [(64, 64, 150), (63, 40, 150), (64, 64, 151), (200, 20, 90)])
def test_outside_of_their_window_all_images_are_black(height: int, width: int, size: int) -> None:
    given = batches(make_images(6, height=height, width=width), Preprocessing(size, (0.0,), (1.0,)))
    window = given.window
    for images, _ in [*given.in_order(), *given.shuffled(seed=0, epoch=1)]:
        images[:, :, window.rows.indices, window.columns.indices] = 0
        assert not images.any()
    assert window.rows.stop - window.rows.start == min(height, size)
    assert window.columns.stop - window.columns.start == min(width, size)
    assert window.has_border == (height < size)


def test_an_epoch_shows_every_image_once_with_its_own_label() -> None:
    split = make_images(10)
    plain = Preprocessing(64, (0.0,), (1.0,))
    seen = list(batches(split, plain).shuffled(seed=1, epoch=1))
    assert [len(labels) for _, labels in seen] == [4, 4, 2]
    labels = torch.cat([labels for _, labels in seen])
    assert sorted(labels.tolist()) == list(range(10))
    shown = torch.cat([images for images, _ in seen])
    assert torch.equal((shown * 255).round().byte(), split.images[labels])


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    split = make_images(50)

    def order(seed: int, epoch: int, batch_size: int = 4) -> list[int]:
        given = batches(split, batch_size=batch_size).shuffled(seed=seed, epoch=epoch)
        return torch.cat([labels for _, labels in given]).tolist()

    first = order(0, 1)
    torch.rand(7)
    assert order(0, 1) == first
    assert order(0, 1, batch_size=7) == first
    assert order(0, 2) != first
    assert order(1, 1) != first


def test_about_half_of_the_training_images_are_flipped_and_none_of_the_others() -> None:
    split = make_images(200, height=8, width=8)
    plain = Preprocessing(8, (0.0,), (1.0,))
    flipped = 0
    for images, labels in batches(split, plain, flips=True).shuffled(seed=3, epoch=1):
        pixels = (images * 255).round().byte()
        for image, stored in zip(pixels, split.images[labels], strict=True):
            assert torch.equal(image, stored) or torch.equal(image, stored.flip(-1))
            flipped += torch.equal(image, stored.flip(-1))
    assert 70 < flipped < 130
    untouched = torch.cat([images for images, _ in batches(split, plain, flips=True).in_order()])
    assert torch.equal((untouched * 255).round().byte(), split.images)


def test_images_as_the_network_saw_them_are_the_first_of_epoch_1_in_pixels_again() -> None:
    split = make_images(10, height=8, width=8)
    given = batches(split, Preprocessing(12, PAPER.mean, PAPER.std), flips=True)
    images, labels = given.seen(6, seed=5)
    first = torch.cat([normal for normal, _ in given.shuffled(seed=5, epoch=1)])[:6]
    assert (images.shape, images.dtype) == ((6, 3, 12, 12), torch.uint8)
    for image, label in zip(images[:, :, 2:10, 2:10], labels, strict=True):
        stored = split.images[label]
        assert torch.equal(image, stored) or torch.equal(image, stored.flip(-1))
    assert not images[:, :, :2].any()
    again = batches(Split(images, labels), Preprocessing(12, PAPER.mean, PAPER.std)).in_order()
    assert torch.equal(next(again)[0], first)
    assert len(given.seen(99, seed=5)[1]) == 10


def test_images_as_the_network_sees_them_in_evaluation_are_padded_and_never_augmented() -> None:
    split = make_images(10, height=8, width=8)
    given = batches(split, Preprocessing(12, PAPER.mean, PAPER.std), flips=True)
    images, labels = given.seen_in_evaluation(torch.tensor([7, 2]))
    assert (images.shape, images.dtype) == ((2, 3, 12, 12), torch.uint8)
    assert torch.equal(images[:, :, 2:10, 2:10], split.images[[7, 2]])
    assert not images[:, :, :2].any()
    assert torch.equal(labels, split.labels[[7, 2]])


def test_one_mean_serves_all_channels() -> None:
    one = Preprocessing(64, (0.5,), (0.25,))
    three = Preprocessing(64, (0.5,) * 3, (0.25,) * 3)
    split = make_images(3)
    (left, _), (right, _) = next(batches(split, one).in_order()), next(batches(split, three).in_order())
    assert torch.equal(left, right)


class Grey(bb.Augmentation, name="grey"):
    """Shows images in grey, as floating-point numbers of one channel that all three share."""

    def build(self, data: bb.ImageSpec) -> bb.Augment:
        def grey(images: torch.Tensor, labels: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images.float().mean(1, keepdim=True).expand_as(images), labels

        return grey


def test_an_augmentation_may_return_pixels_that_share_their_memory() -> None:
    split = make_images(4, height=8, width=8)
    data = ImageSpec(3, 8, 8, num_classes=10, mean=(0.5, 0.5, 0.5))
    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    train = Batches(split, preprocessing, batch_size=4, device=CPU, augmenter=Augmenter.of([Grey()], data))
    ((images, labels),) = train.shuffled(seed=0, epoch=1)
    grey = split.images[labels].float().mean(1, keepdim=True) / 255
    torch.testing.assert_close(images, grey.expand_as(images))


def test_no_evaluation_batch_is_a_single_image_unless_there_is_no_other() -> None:
    sizes = [[len(images) for images, _ in batches(make_images(number)).in_order()] for number in (1, 65, 129, 130)]
    assert sizes == [[1], [65], [64, 65], [64, 64, 2]]
