"""The cross-entropy of softmax."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

import benchbench as bb


class CrossEntropy(bb.Loss, name="cross_entropy"):
    """The cross-entropy of softmax and the labels, with optional label smoothing and class weights.

    Label smoothing: C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    """

    label_smoothing: float = bb.param(0.0, "fraction of the label that is spread evenly over all outputs", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = bb.param(
        "none", "balanced: an image counts in inverse proportion to the number of training images of its class"
    )

    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        """Return :class:`torch.nn.CrossEntropyLoss`, or one that weighs classes alike whatever is in a batch."""
        if self.class_weights == "none":
            return nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)
        weights = balanced_weights(labels, num_outputs)
        return _Weighted(weights, label_smoothing=self.label_smoothing, reduction="sum")


class _Weighted(nn.CrossEntropyLoss):
    """The weighted sum over images divided by their number, from labels or from fractions of classes.

    Torch divides by the sum of the weights in the batch. A rare image is then divided by its own large weight: in
    batches of one, all images would count the same.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one number."""
        loss: Tensor = super().forward(logits, targets)
        return loss / len(targets)


def balanced_weights(labels: Tensor, num_outputs: int) -> Tensor:
    """Return a weight for each output: N / (K x number of images of the class), which makes the mean weight 1.

    K is the number of classes that have images; the others have the weight 1.
    """
    counts = torch.bincount(labels, minlength=num_outputs)
    num_classes = int((counts > 0).sum())
    return torch.where(counts > 0, len(labels) / (num_classes * counts.clamp(min=1)), 1.0)


@bb.hookimpl
def benchbench_losses() -> list[type[bb.Loss]]:
    """Offer the cross-entropy."""
    return [CrossEntropy]
