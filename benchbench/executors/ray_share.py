"""How a Ray cluster is shared out among trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Share:
    """So many trials at a time, each with so many cores and GPUs."""

    num_jobs: int
    cores: int
    gpus: int


def share_out(nodes: Iterable[Mapping[str, float]], *, num_jobs: int | None, use_gpus: bool) -> Share:
    """Return how many trials a cluster of such nodes takes at a time, and the cores that each of them gets.

    All get the same, since the number of threads changes results; where ``num_jobs`` do not all fit there are fewer.
    Raises :class:`~benchbench.errors.DeviceError` where there is no room for one.
    """
    rooms = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    gpus = int(use_gpus and any(num_gpus for _, num_gpus in rooms))

    def num_places(cores: int) -> int:
        return sum(min(num_cores // cores, num_gpus if gpus else num_cores) for num_cores, num_gpus in rooms)

    if num_places(1) == 0:
        raise DeviceError("no node of the Ray cluster has a processor for a trial")
    wanted = num_jobs or sum(num_gpus if gpus else num_cores > 0 for num_cores, num_gpus in rooms)
    wanted = min(wanted, num_places(1))
    cores = next(cores for cores in range(max(rooms)[0], 0, -1) if num_places(cores) >= wanted)
    return Share(num_jobs=wanted, cores=cores, gpus=gpus)
