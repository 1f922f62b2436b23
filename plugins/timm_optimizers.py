"""Any optimizer of the timm library, by its name there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import benchbench as bb

if TYPE_CHECKING:
    import torch
    from torch import nn

COMMON_OPTIONS = ("momentum", "betas", "eps")
"""Options that timm drops without a word for an algorithm that does not have them."""

UNREPEATABLE = ("kron", "kronc", "kronw")
"""They draw random numbers that are not in their state, so that no checkpoint can hold it."""


class TimmOptimizer(bb.Optimizer, name="timm"):
    """An optimizer of timm by name, such as lamb, nadamw, adopt, adan, madgrad or lars.

    Those that need second derivatives, and ``kron``, whose state no checkpoint can hold, are refused.
    """

    algorithm: str = bb.param("lamb", "name in timm.optim.list_optimizers()")
    lr: float = bb.param(0.001, "learning rate", gt=0)
    weight_decay: float = bb.param(0.0, "weight decay, in the algorithm's own way", ge=0)
    decay: Literal["all", "matrices"] = bb.param(
        "matrices",
        "what decays; matrices: all but biases, normalization and what the network's no_weight_decay() lists",
    )
    options: bb.Options = bb.param(
        bb.Options(), "more arguments of timm.optim.create_optimizer_v2, such as layer_decay"
    )

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer from timm.

        Raises :class:`~benchbench.SpecError` for an unknown name, and for one that cannot be used here.
        """
        from timm.optim import create_optimizer_v2  # type: ignore[attr-defined] # it has no __all__

        bb.trainable_parameters(model)
        _check(self.algorithm)
        _check_options(self.algorithm, self.options)
        try:
            optimizer: torch.optim.Optimizer = create_optimizer_v2(
                model,
                opt=self.algorithm,
                lr=self.lr,
                weight_decay=self.weight_decay,
                filter_bias_and_bn=self.decay == "matrices",
                **self.options,
            )
        except (AssertionError, ImportError) as error:  # a GPU or a package that an algorithm needs is not there
            raise bb.SpecError(f"{self.algorithm} cannot be used here: {error}", hint="another algorithm") from error
        except TypeError as error:
            raise bb.SpecError(
                f"{self.algorithm} does not take these options: {error}", hint="optimizer.options is passed on to timm"
            ) from error
        for group in optimizer.param_groups:
            # Timm leaves the factors of layer_decay to its own schedulers, and a few weights out of any decay.
            group["lr"] *= group.get("lr_scale", 1.0)
            if self.decay == "all":
                group["weight_decay"] = self.weight_decay
        return optimizer


def _check(algorithm: str) -> None:
    from timm.optim import get_optimizer_info, list_optimizers  # type: ignore[attr-defined]

    if algorithm not in list_optimizers():
        near = list(map(str, list_optimizers(f"*{algorithm}*")))[:5]
        raise bb.SpecError(
            f"timm has no optimizer {algorithm!r}",
            hint=f"near it: {', '.join(near)}"
            if near
            else 'python -c "import timm.optim; print(timm.optim.list_optimizers())"',
        )
    if get_optimizer_info(algorithm).second_order:
        raise bb.SpecError(f"{algorithm} needs second derivatives, which are not computed", hint="another algorithm")
    if algorithm in UNREPEATABLE:
        raise bb.SpecError(
            f"{algorithm} draws random numbers that are not part of its state, so that no trial could be resumed",
            hint="another algorithm",
        )


def _check_options(algorithm: str, options: bb.Options) -> None:
    from timm.optim import get_optimizer_info  # type: ignore[attr-defined]

    info = get_optimizer_info(algorithm)
    ignored = [name for name in COMMON_OPTIONS if name in options and not getattr(info, f"has_{name}")]
    if ignored:
        raise bb.SpecError(
            f"{algorithm} does not take these options: it has no {' and no '.join(ignored)}",
            hint="leave them out of optimizer.options: timm would ignore them",
        )


@bb.hookimpl
def benchbench_optimizers() -> list[type[bb.Optimizer]]:
    """Offer timm's optimizers."""
    return [TimmOptimizer]
