"""Binary cross-entropy: each class is a separate yes-or-no question."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

import benchbench as bb


class BinaryCrossEntropy(bb.Loss, name="bce"):
    """The binary cross-entropy of each class, as the mean over classes and images.

    R. Wightman et al., "ResNet strikes back", 2021. It is smaller than the cross-entropy, by a factor of about
    the number of classes, so learning rates are usually higher. The targets of a mixed image are its fractions of
    classes, as by default in timm, whereas that paper makes each of its classes 1.
    """

    label_smoothing: float = bb.param(0.0, "fraction of the label that is spread evenly over all outputs", ge=0, lt=1)

    def build(self, labels: Tensor, *, num_outputs: int) -> nn.Module:
        """Return a module over :func:`torch.nn.functional.binary_cross_entropy_with_logits`."""
        return _OfClasses(self.label_smoothing)


class _OfClasses(nn.Module):
    """The mean over all logits, from labels or from fractions of classes."""

    def __init__(self, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one number."""
        num_classes = logits.shape[1]
        if targets.ndim == 1:
            targets = functional.one_hot(targets, num_classes)
        targets = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / num_classes
        return functional.binary_cross_entropy_with_logits(logits, targets)


@bb.hookimpl
def benchbench_losses() -> list[type[bb.Loss]]:
    """Offer the binary cross-entropy."""
    return [BinaryCrossEntropy]
