"""The GPUs that this process may use, so that each worker can be given one of them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` takes them.

    They are the numbers or UUIDs in that variable, up to the first number that no GPU has, or, if it is not set, the
    numbers of all NVIDIA GPUs.
    """
    listed = environment.get(VISIBLE)
    if listed is None:
        return tuple(str(number) for number in range(_num_installed()))
    names = [name.strip() for name in listed.split(",")]
    num_installed = _num_installed() if any(name.isdecimal() for name in names) else 0
    # CUDA ignores the first invalid entry and all that follow it: CUDA C Programming Guide, environment variables.
    num_valid = next((number for number, name in enumerate(names) if not _is_valid(name, num_installed)), len(names))
    return tuple(names[:num_valid])


def _is_valid(name: str, num_installed: int) -> bool:
    """Tell whether it names a GPU that may be there; ``num_installed`` is 0 if nobody can tell."""
    if name.isdecimal():
        return not 0 < num_installed <= int(name)
    return name.startswith(("GPU-", "MIG-"))


def _num_installed() -> int:
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--list-gpus"],  # noqa: S607 - NVIDIA's own tool, wherever it is installed
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    # One line each; names may have the word in them as well, such as "... Laptop GPU", and MIG lines are indented.
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    return sum(line.startswith("GPU ") for line in lines)
