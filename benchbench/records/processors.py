"""The processors that this process may use: fewer than the machine has, if it may use only some of them."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def allowed_processors() -> tuple[int, ...]:
    """Return the numbers of the processors that the system runs this process on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def num_processors() -> float:
    """Return how many processors this process may keep busy: those it may run on, or its container's quota of them."""
    return min(float(len(allowed_processors())), quota(_CGROUPS, _own_cgroup()))


def quota(root: Path, cgroup: str) -> float:
    """Return the processors that a control group below ``root``, or one above it, allows; infinite without a limit.

    Reads cpu.max: Linux, Documentation/admin-guide/cgroup-v2.rst.
    """
    return min(_limits(root, cgroup).values(), default=float("inf"))


def group_seconds(root: Path = _CGROUPS, cgroup: str | None = None) -> float | None:
    """Return how long the processors worked for the control group whose quota this process has, in seconds.

    None if there is no quota, or if it cannot be read. Reads cpu.stat, as :func:`quota` reads cpu.max.
    """
    limits = _limits(root, _own_cgroup() if cgroup is None else cgroup)
    group = min(limits, key=limits.__getitem__)
    if limits[group] == float("inf"):
        return None
    try:
        lines = (group / "cpu.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("usage_usec "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _limits(root: Path, cgroup: str) -> dict[Path, float]:
    """Return the processors that a control group below ``root``, and each above it, allows."""
    folder = root / cgroup.strip("/")
    return {group: _limit(group / "cpu.max") for group in (folder, *folder.parents) if group.is_relative_to(root)}


def _limit(path: Path) -> float:
    try:
        microseconds, period = path.read_text(encoding="ascii").split()
        return float(microseconds) / float(period)
    except (OSError, ValueError):  # no such file, or "max"
        return float("inf")


def _own_cgroup() -> str:
    """Return the path of this process's control group (version 2), or the root's."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
