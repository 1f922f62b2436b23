"""The four kinds of plugin: Dataset, Model, Optimizer, Scheduler, and what passes between them.

A plugin is its own configuration: a frozen pydantic model whose fields are its parameters. Its name is a class
keyword, ``class Tiny(Model, name="tiny")``, and its ``build()`` or ``load()`` makes the live object.
Nothing here imports torch: a plugin may, and the driver process never loads one that does.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


def param(default: Any, help: str, **limits: Any) -> Any:  # noqa: A002 - the word that users read
    """Declare a parameter: its default, one line of help, and limits such as ``ge=0`` or ``lt=1``.

    The annotation beside it is its type. Limits are those of :func:`pydantic.Field`.
    """
    return Field(default, description=help, **limits)


def allows_none(annotation: object) -> bool:
    """Tell whether ``None`` is a value of the annotated type."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(allows_none(part) for part in get_args(annotation))
    return annotation is None or annotation is type(None)


class Plugin(BaseModel):
    """What every plugin is: a name, a kind, an integer revision, and parameters.

    The author raises ``revision`` (a class keyword) when the same parameters give other results than before, so
    that finished trials of the older revision are not taken for the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    revision: ClassVar[int] = 1

    def __init_subclass__(cls, *, name: str | None = None, revision: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            cls.name = name
        if revision is not None:
            cls.revision = revision
        elif "revision" not in vars(cls):
            cls.revision = 1  # it is of this class's own results, not of those of the class it is made from


@dataclass(frozen=True)
class Split:
    """One part of a dataset.

    images: uint8 ``[N, C, H, W]``; labels: int64 ``[N]``; names: where each image came from, or empty.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset and the names of its classes, in the order of their labels."""

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]

    def items(self) -> tuple[tuple[str, Split], ...]:
        """Return ``(name, split)`` for train, val and test."""
        return (("train", self.train), ("val", self.val), ("test", self.test))


@dataclass(frozen=True)
class DataSpec:
    """What a model needs to know of its data: float32 ``[N, num_channels, image_size, image_size]`` comes in."""

    num_channels: int
    image_size: int
    num_classes: int

    @property
    def num_inputs(self) -> int:
        """Return the numbers in one image: channels x height x width."""
        return self.num_channels * self.image_size**2


@dataclass(frozen=True)
class Download:
    """A file that a dataset can be had from."""

    url: str
    file_name: str
    num_bytes: int
    md5: str


class Dataset(Plugin):
    """Images and labels. ``load`` gives them raw; the fields below say how batches are made of them.

    Set ``download`` where one public file holds the images; ``bench data fetch`` then gets it, and its path is
    the ``root`` of ``load``. What ``load`` returns is kept on disk and mapped into memory the next time, until
    the files under ``root``, the parameters, the ``revision`` or the plugin's source change.
    """

    kind: ClassVar[str] = "dataset"
    download: ClassVar[Download | None] = None
    sha256: ClassVar[dict[str, str]] = {}
    """Of other files that hold the same images, by file name: what ``bench data verify`` compares with."""

    image_size: int = param(32, "side of the square that images are padded (with black) or cropped to", ge=1, le=4096)
    flip: float = param(0.5, "probability of a left-right flip of a training image", ge=0, le=1)
    mean: tuple[float, ...] = param((0.5,), "subtracted from pixels scaled to 0..1, one a channel or one for all")
    std: tuple[float, ...] = param((0.5,), "divides pixels after that, one a channel or one for all")

    def load(self, root: Path) -> Splits:
        """Return the images found at ``root``, a file or folder (which need not exist where none is needed).

        Raises :class:`~benchbench.errors.DataError` where they are missing or damaged.
        """
        raise NotImplementedError

    def sources(self, root: Path) -> tuple[Path, ...]:
        """Return the files and folders that ``load`` reads; what it returned is good until one of them changes.

        A folder counts with all that is below it. Override this where ``load`` reads only a part of ``root``, or
        nothing at all.
        """
        return (root,)


class Model(Plugin):
    """A network. float32 ``[N, C, H, W]`` comes in, logits ``[N, K]`` go out, K at least the number of classes."""

    kind: ClassVar[str] = "model"

    def build(self, data: DataSpec) -> nn.Module:
        """Return the network with fresh weights; torch is seeded just before the call."""
        raise NotImplementedError


class Optimizer(Plugin):
    """What turns gradients into steps."""

    kind: ClassVar[str] = "optimizer"

    def build(self, model: nn.Module) -> TorchOptimizer:
        """Return an optimizer of the model's parameters; it is given the module so that it may make groups."""
        raise NotImplementedError


class Scheduler(Plugin):
    """What changes the learning rate while training."""

    kind: ClassVar[str] = "scheduler"
    step_every: ClassVar[Literal["epoch", "batch"]] = "epoch"
    metric: ClassVar[str | None] = None
    """The epoch metric that ``step()`` is given, such as ``val_loss`` for a plateau rule."""

    def build(
        self, optimizer: TorchOptimizer, *, num_epochs: int, steps_per_epoch: int
    ) -> LRScheduler | ReduceLROnPlateau:
        """Return the scheduler; it is stepped after each epoch or batch, as ``step_every`` says."""
        raise NotImplementedError
