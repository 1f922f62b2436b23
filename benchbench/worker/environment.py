"""Environment variables that change what torch computes: removed before torch is imported, and named in the record.

They make oneDNN and CUDA's libraries multiply in bf16 or TF32 whatever torch asks for, so an fp32 trial would not
compute in fp32, with or without acceleration.
"""

from __future__ import annotations

import os

LESS_PRECISE = (
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_MPS_FAST_MATH",
)

_removed: list[str] = []


def remove_variables() -> None:
    """Remove the variables from this process; torch must not have been imported yet, which reads them."""
    _removed.extend(name for name in LESS_PRECISE if os.environ.pop(name, None) is not None)


def removed_variables() -> tuple[str, ...]:
    """Return the names of those that were removed from this process."""
    return tuple(_removed)
