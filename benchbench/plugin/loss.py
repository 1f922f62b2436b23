"""The base class of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchbench.plugin.base import Plugin

if TYPE_CHECKING:
    from torch import Tensor, nn


class Loss(Plugin):
    """What training makes smaller. Validation and test always measure the plain cross-entropy."""

    kind: ClassVar[str] = "loss"

    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        """Return a module that maps logits and targets to the mean loss of a batch, a scalar.

        ``labels`` are those of the training images, int64 ``[N]``. The module gets logits float32
        ``[N, num_outputs]``; a model may have more outputs than the dataset has classes. Targets are labels int64
        ``[N]``, or, after an augmentation that mixes images, float32 ``[N, num_outputs]`` with the fraction of each
        class. Its buffers are moved to the device, and are part of checkpoints. It must not have parameters that train:
        the optimizer gets those of the model.
        """
        raise NotImplementedError
