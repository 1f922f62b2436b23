"""What tells this host from all others, before and after it is restarted."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FIRST_UTS_NAMESPACE = "uts:[4026531838]"
"""The one that a kernel starts with, PROC_UTS_INIT_INO in include/linux/proc_ns.h; a container has another."""


@dataclass(frozen=True)
class Host:
    """A host while it runs.

    All containers of a host have its ``kernel``, and a restart changes it. A restart does not change the ``name``.
    It is empty for containers, and for hosts that cannot be told apart for certain.
    """

    kernel: str
    name: str = ""


@cache
def this_host() -> Host:
    """Return the host that this process runs on."""
    return read_host(Path("/"))


def read_host(root: Path) -> Host:
    """Return what the files below ``root`` tell of a Linux host; of another system, its name alone."""
    try:
        kernel = (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return Host(socket.gethostname())
    try:
        return Host(kernel, _name(root))
    except OSError:
        return Host(kernel)


def _name(root: Path) -> str:
    """Return a digest of the host's name, its installation and its network cards: a cloned disk has the first two."""
    if str((root / "proc/self/ns/uts").readlink()) != FIRST_UTS_NAMESPACE:
        return ""
    parts = [
        (root / path).read_text(encoding="utf-8").strip() for path in ("proc/sys/kernel/hostname", "etc/machine-id")
    ]
    cards = [path.parent for path in (root / "sys/class/net").glob("*/device")]
    addresses = sorted((card / "address").read_text(encoding="ascii").strip() for card in cards)
    if not (all(parts) and addresses):
        return ""
    return hashlib.sha256("\n".join([*parts, *addresses]).encode()).hexdigest()[:16]
