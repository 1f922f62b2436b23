"""Images on the device, and images that are read from their file while a trial runs."""

from __future__ import annotations

import io
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import torch
from benchbench_plugins.imagefolder import ImageFolder
from benchbench_plugins.synthetic import Synthetic
from PIL import Image

from benchbench.data import cache as data_cache
from benchbench.worker.batches import Batches, Preprocessing
from benchbench.worker.image_reading import BATCHES_AHEAD, ReadingMode, Streamed, is_resident
from benchbench.worker.splits import TensorSplit, TensorSplits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.plugin.dataset import Dataset

CPU = torch.device("cpu")
SPANS = [slice(start, start + 4) for start in range(0, 22, 4)]
PREPROCESSING = Preprocessing(image_size=6, mean=(0.5,), std=(0.5,))


def made_split(number: int = 22) -> TensorSplit:
    images = torch.randint(0, 256, (number, 3, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TensorSplit(images, torch.arange(number))


def batches(*, resident: bool) -> Batches:
    return Batches(made_split(), PREPROCESSING, batch_size=4, device=CPU, reading=ReadingMode(resident))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bench-read")]


def test_batches_are_the_same_wherever_their_images_are_read_from() -> None:
    one, other = batches(resident=True), batches(resident=False)
    for ours, theirs in (
        (one.shuffled(seed=3, epoch=2), other.shuffled(seed=3, epoch=2)),
        (one.in_order(), other.in_order()),
    ):
        for (images, labels), (same_images, same_labels) in zip(ours, theirs, strict=True):
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same_labels)


class SlowImages:
    """Notes when a batch is read."""

    shape = torch.Size((22, 3, 5, 6))

    def __init__(self) -> None:
        self.num_read = 0

    def __getitem__(self, rows: Any) -> torch.Tensor:
        self.num_read += 1
        return made_split().images[rows]


def test_batches_are_read_ahead_but_not_far() -> None:
    images = SlowImages()
    reading = Streamed(images, CPU).read(SPANS)
    next(reading)
    deadline = time.monotonic() + 30
    while images.num_read < 1 + BATCHES_AHEAD and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert images.num_read == 1 + BATCHES_AHEAD
    assert sum(1 for _ in reading) == len(SPANS) - 1
    assert images.num_read == len(SPANS)


def test_a_loop_that_ends_early_leaves_no_thread() -> None:
    reading = batches(resident=False).shuffled(seed=0, epoch=1)
    next(reading)
    assert reading_threads()
    reading.close()
    assert not reading_threads()


def test_an_error_while_reading_ends_the_loop() -> None:
    class Torn(SlowImages):
        def __getitem__(self, rows: Any) -> torch.Tensor:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(Streamed(Torn(), CPU).read(SPANS))
    assert not reading_threads()


def test_images_are_kept_in_memory_if_they_take_less_than_half_of_what_is_free() -> None:
    free = psutil.virtual_memory().available
    assert is_resident(free // 4, CPU)
    assert not is_resident(free, CPU)


@pytest.fixture
def little_memory() -> Iterator[int]:
    """Let this process have 150 MB more than it has now, and give this number."""
    more = 150_000_000
    status = Path("/proc/self/status").read_text(encoding="ascii")
    used = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + more, hard))
    yield more
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def synthetic(root: Path) -> Dataset:
    del root
    return Synthetic(height=224, width=224, image_size=224, num_train=2400, num_val=10, num_test=10)


def photographs(root: Path) -> Dataset:
    """Return a dataset of files, of which 2,400 are for training."""
    Image.linear_gradient("L").resize((300, 224)).convert("RGB").save(file := io.BytesIO(), "jpeg")
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for number in range(1500):
            (root / name / f"{number:04}.jpg").write_bytes(file.getvalue())
    return ImageFolder(image_size=224)


@pytest.mark.slow
@pytest.mark.skipif(not psutil.LINUX, reason="other systems do not limit a process in this way")
@pytest.mark.parametrize("make", [synthetic, photographs])
def test_images_that_exceed_the_memory_of_the_process_are_decoded_and_read(
    make: Callable[[Path], Dataset], tmp_path: Path, little_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_cache, "MAX_WRITABLE_BYTES", 1 << 20)
    splits = TensorSplits.of(data_cache.load(make(tmp_path), tmp_path))
    assert splits.train.images.nbytes > 2 * little_memory
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        splits.train.images.clone()
    train = Batches(
        splits.train, Preprocessing(224, (0.5,), (0.5,)), batch_size=8, device=CPU, reading=ReadingMode(resident=False)
    )
    assert sum(len(labels) for _, labels in train.shuffled(seed=0, epoch=1)) == 2400


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_images_reach_a_gpu_from_pinned_memory_unchanged() -> None:
    device = torch.device("cuda")
    one, other = (
        Batches(made_split(), PREPROCESSING, batch_size=4, device=device, reading=ReadingMode(resident))
        for resident in (True, False)
    )
    for (images, _), (same_images, _) in zip(
        one.shuffled(seed=3, epoch=2), other.shuffled(seed=3, epoch=2), strict=True
    ):
        assert torch.equal(images, same_images)


class Copied:
    """Images that note how they were copied to a device."""

    shape = torch.Size((22, 3, 5, 6))
    non_blocking: bool | None = None

    def __getitem__(self, span: slice) -> Copied:
        return self

    def clone(self) -> Copied:
        return self

    def pin_memory(self) -> Copied:
        return self

    def to(self, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        del device
        self.non_blocking = non_blocking
        return torch.zeros(4, 3, 5, 6)


@pytest.mark.parametrize(("device", "non_blocking"), [("cuda", True), ("mps", False)])
def test_only_pinned_memory_is_copied_while_it_may_be_freed(device: str, *, non_blocking: bool) -> None:
    images: Any = Copied()
    next(Streamed(images, torch.device(device)).read(SPANS))
    assert images.non_blocking is non_blocking
