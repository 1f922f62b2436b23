"""Torch's process-wide settings, which plugins may change: restored before each trial and after each build.

Otherwise a plugin that asks for TF32 would change an fp32 trial, and the trials after its own as well. Hooks for all
modules or optimizers last as long as the trial whose plugins registered them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
import torch.backends.opt_einsum  # which older releases do not import by themselves
from torch.nn.modules import module
from torch.optim import optimizer

from benchbench.worker.environment import removed_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchbench.config.defaults import Precision

_IEEE, _TF32 = "ieee", "tf32"


class TorchSettings:
    """Torch's settings as one trial needs them, and those that plugins changed while it was prepared."""

    def __init__(self, precision: Precision, *, num_threads: int) -> None:
        self._precision = precision
        self._num_threads = num_threads
        self._changes: list[str] = []

    def apply(self) -> None:
        """Give every setting the value that the trial needs, and remove the hooks of earlier trials."""
        restore_settings(self._precision, num_threads=self._num_threads)
        self._note(removed_variables(), "the environment")
        if GlobalHooks.registered() != _before_trials():
            self._note(["hooks for all modules or optimizers"], "an earlier trial")
        _before_trials().restore()

    def restore(self, changed_by: str) -> None:
        """Give every setting the value that the trial needs; those that differed were changed by ``changed_by``."""
        self._note(restore_settings(self._precision, num_threads=self._num_threads), changed_by)

    def _note(self, names: Sequence[str], changed_by: str) -> None:
        if names:
            self._changes.append(f"{', '.join(names)} by {changed_by}")

    @property
    def changes(self) -> str:
        """What plugins had changed, such as ``default_dtype by model tiny``."""
        return "; ".join(self._changes)


@dataclass(frozen=True)
class _Setting:
    """A setting by its name in torch, and the value that it must have in a trial."""

    name: str
    value: object
    read: Callable[[], object]
    write: Callable[[Any], object]


def restore_settings(precision: Precision, *, num_threads: int) -> tuple[str, ...]:
    """Give every setting the value that a trial of this precision needs; return the names of those that differed."""
    settings = tuple(_settings(precision, num_threads))
    changed = tuple(setting.name for setting in settings if _is_changed(setting))
    for setting in settings:
        setting.write(setting.value)
    return changed


def _is_changed(setting: _Setting) -> bool:
    try:
        return setting.read() != setting.value
    except RuntimeError:  # torch refuses to read a setting that its old and its new names set to different values
        return True


def _settings(precision: Precision, num_threads: int) -> Iterator[_Setting]:
    yield _Setting("num_threads", num_threads, torch.get_num_threads, torch.set_num_threads)
    yield _Setting("default_dtype", torch.float32, torch.get_default_dtype, torch.set_default_dtype)
    yield _Setting("default_device", None, _default_device, torch.set_default_device)
    yield _Setting("grad_enabled", True, torch.is_grad_enabled, torch.set_grad_enabled)
    yield _Setting("anomaly_detection", False, torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly)
    yield _Setting(
        "deterministic_algorithms",
        False,
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    )
    # Torch cannot tell how this one is set.
    yield _Setting("flush_denormal", False, lambda: False, torch.set_flush_denormal)
    yield _Setting(
        "mha.fastpath_enabled", True, torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled
    )
    for name in ("flash", "mem_efficient", "math", "cudnn"):
        is_enabled = getattr(torch.backends.cuda, f"{name}_sdp_enabled")
        yield _Setting(f"cuda.{name}_sdp", True, is_enabled, getattr(torch.backends.cuda, f"enable_{name}_sdp"))
    yield _Setting(
        "cuda.fp16_bf16_reduction_math_sdp",
        False,
        torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed,
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp,
    )
    for kind, dtype in (("cpu", torch.bfloat16), ("cuda", torch.float16), ("mps", torch.float16)):
        yield _Setting(
            f"autocast.{kind}",
            False,
            partial(torch.is_autocast_enabled, kind),
            partial(torch.set_autocast_enabled, kind),
        )
        yield _Setting(
            f"autocast_dtype.{kind}",
            dtype,
            partial(torch.get_autocast_dtype, kind),
            partial(torch.set_autocast_dtype, kind),
        )
    yield _Setting("autocast.cache", True, torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled)
    yield _Setting("nnpack.enabled", True, torch._C._get_nnpack_enabled, torch.backends.nnpack.set_flags)  # noqa: SLF001
    for prefer, library in _LIBRARIES.items():
        yield _Setting(f"cuda.{prefer.__name__}", library, prefer, prefer)
    yield from _precisions(is_tf32=precision == "tf32")
    for path, value in _BACKENDS.items():
        yield _attribute(path, value)
    if hasattr(torch.backends.cuda.matmul, "allow_fp16_accumulation"):  # from torch 2.7 on
        yield _attribute("cuda.matmul.allow_fp16_accumulation", False)


def _default_device() -> torch.device | None:
    try:
        device = torch.get_default_device()
    except AttributeError:  # torch 2.8 cannot say it once the default was set to None
        return None
    return None if device.type == "cpu" else device


_LIBRARIES = {
    prefer: prefer()
    for prefer in (torch.backends.cuda.preferred_blas_library, torch.backends.cuda.preferred_linalg_library)
}
"""What they were when torch was imported."""

_BACKENDS = {
    "mkldnn.enabled": True,
    "mkldnn.deterministic": False,
    "cudnn.enabled": True,
    "cudnn.benchmark": False,
    "cudnn.deterministic": False,
    "cuda.matmul.allow_fp16_reduced_precision_reduction": True,
    "cuda.matmul.allow_bf16_reduced_precision_reduction": True,
    **({"opt_einsum.enabled": True, "opt_einsum.strategy": "auto"} if torch.backends.opt_einsum.is_available() else {}),
}
"""Torch's own defaults."""


def _precisions(*, is_tf32: bool) -> Iterator[_Setting]:
    """Yield the settings of the precision in which float32 is multiplied: the old names, then the new ones, if any.

    Setting an old name changes several new ones, so that the new ones come last. Both must say the same: torch refuses
    to read an old name that the new ones contradict.
    """
    matmul = "high" if is_tf32 else "highest"
    yield _Setting(
        "float32_matmul_precision", matmul, torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    )
    yield _attribute("cuda.matmul.allow_tf32", is_tf32)
    yield _attribute("cudnn.allow_tf32", is_tf32)
    if not hasattr(torch.backends, "fp32_precision"):
        return
    yield _attribute("fp32_precision", "none")
    for path in ("cuda.matmul", "cudnn.conv", "cudnn.rnn"):
        yield _attribute(f"{path}.fp32_precision", _TF32 if is_tf32 else _IEEE)
    for path in ("mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn"):
        yield _attribute(f"{path}.fp32_precision", _IEEE)


def _attribute(path: str, value: object) -> _Setting:
    """Return the setting that is an attribute below ``torch.backends``."""
    *parents, name = path.split(".")
    owner: Any = torch.backends
    for parent in parents:
        owner = getattr(owner, parent)
    return _Setting(path, value, partial(getattr, owner, name), partial(setattr, owner, name))


@dataclass(frozen=True)
class GlobalHooks:
    """A copy of the hooks registered for all modules and all optimizers; torch has no public names for them."""

    registries: tuple[dict[int, Any], ...]
    are_full_backward: bool | None

    @staticmethod
    def registered() -> GlobalHooks:
        """Return those that are registered now."""
        return GlobalHooks(tuple(dict(registry) for registry in _registries()), module._global_is_full_backward_hook)  # noqa: SLF001

    def restore(self) -> None:
        """Register these hooks and no others."""
        for registry, hooks in zip(_registries(), self.registries, strict=True):
            registry.clear()
            registry.update(hooks)
        module._global_is_full_backward_hook = self.are_full_backward  # noqa: SLF001


def _registries() -> list[dict[int, Any]]:
    owners = (vars(module), vars(optimizer))
    return [
        value
        for owner in owners
        for name, value in owner.items()
        if name.startswith("_global_") and isinstance(value, dict)
    ]


@cache
def _before_trials() -> GlobalHooks:
    """Return the hooks that plugins and libraries registered when they were imported: before the first trial."""
    return GlobalHooks.registered()
