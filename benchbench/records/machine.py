"""Where a trial runs: its device, threads, hardware and versions, as kept beside its results."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGES = ("benchbench", "torch", "torchvision", "timm", "mlflow", "numpy")


@dataclass(frozen=True)
class Machine:
    """The facts of a machine that speed and numbers depend on."""

    hostname: str
    system: str
    processor: str
    num_cores: int
    memory_bytes: int
    device: str
    device_name: str
    num_threads: int
    versions: dict[str, str]
    git_commit: str | None


def one_after_another(facts: Iterable[object]) -> str:
    """Return a fact of the machines of a trial: ``cpu``, or ``cpu, then cuda`` if it was resumed elsewhere."""
    return ", then ".join(dict.fromkeys(map(str, facts)))


def describe(
    *, device: str, device_name: str, num_threads: int, device_versions: Mapping[str, str] = MappingProxyType({})
) -> Machine:
    """Return the facts of this machine, with the device and CPU threads that torch was given."""
    import psutil

    return Machine(
        hostname=socket.gethostname(),
        system=f"{platform.system()} {platform.release()}",
        processor=processor_name(),
        num_cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        device=device,
        device_name=device_name,
        num_threads=num_threads,
        versions={"python": platform.python_version()} | package_versions() | dict(device_versions),
        git_commit=git_commit(Path.cwd()),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results may depend on, without importing them."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def processor_name() -> str:
    """Return the processor's model name, or its architecture if the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def git_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in ``folder``, or None if there is none."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
