"""The Ray cluster: started or connected to, and divided among trials."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.errors import BenchError, DeviceError, SpecError, first_line
from benchbench.records.processors import num_processors

# Ray reads these when it is imported. Its daemons' messages would go to standard output otherwise, among our JSON.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
except ModuleNotFoundError as error:
    raise BenchError(
        "the executor ray needs the package ray", hint="pip install -e '.[ray]' in the clone of benchbench"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Slots", "connect", "divide", "ray"]

_OBJECT_STORE_BYTES = 100 * 2**20
"""Events are small; Ray would set aside a third of the memory."""

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Slots:
    """The number of trials at a time, and the processors and GPUs that each of them gets."""

    num_jobs: int
    cores: int
    gpus: int


def connect(address: str | None, *, num_jobs: int | None) -> None:
    """Start Ray on the processors that this process may use, or connect to the cluster at ``address``.

    Raises :class:`~benchbench.errors.SpecError` if there is no cluster at the address.
    """
    if address is None:
        ray.init(
            address="local",  # never the cluster that RAY_ADDRESS may name
            num_cpus=max(int(num_processors()), num_jobs or 1),
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return
    if address.startswith("ray://"):
        raise SpecError(
            f"--address {address!r}: Ray clients cannot stream events",
            hint="give HOST:PORT, or auto, on a machine that is a node of the cluster",
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():
            # Ray itself tries for more than three minutes.
            socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        hint = "is there a cluster (ray start --head), and does its token authentication let you in?"
        raise SpecError(f"--address {address!r}: {first_line(error)}", hint=hint) from error


def divide(nodes: Iterable[Mapping[str, float]], *, num_jobs: int | None, use_gpus: bool) -> Slots:
    """Return how many trials a cluster of such nodes runs at a time, and the processors that each of them gets.

    All get the same number, since the number of threads changes results; if ``num_jobs`` do not all fit there are
    fewer. Raises :class:`~benchbench.errors.DeviceError` if there is no room for one.
    """
    rooms = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    gpus = int(use_gpus and any(num_gpus for _, num_gpus in rooms))

    def num_slots(cores: int) -> int:
        return sum(min(num_cores // cores, num_gpus if gpus else num_cores) for num_cores, num_gpus in rooms)

    if num_slots(1) == 0:
        raise DeviceError("no node of the Ray cluster has a processor for a trial")
    at_once = num_jobs or sum(num_gpus if gpus else num_cores > 0 for num_cores, num_gpus in rooms)
    at_once = min(at_once, num_slots(1))
    cores = next(cores for cores in range(max(rooms)[0], 0, -1) if num_slots(cores) >= at_once)
    return Slots(num_jobs=at_once, cores=cores, gpus=gpus)
