"""What this machine can compute on, in JSON: ``bench doctor`` asks for it in a process with torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

import benchbench.worker.main
import benchbench.worker.trial  # noqa: F401 - a worker starts here if these can be imported
from benchbench.processes import serve
from benchbench.worker.accelerate import available_devices, device_name, possible_precisions

if TYPE_CHECKING:
    from collections.abc import Callable


def respond(_: bytes, send: Callable[[bytes], None]) -> None:
    """Send the devices with their names and precisions, and the threads that torch uses."""
    devices = [torch.device(name) for name in available_devices()]
    answer = {
        "devices": [
            {"device": str(device), "name": device_name(device), "precisions": possible_precisions(device)}
            for device in devices
        ],
        "threads": torch.get_num_threads(),
    }
    send(json.dumps(answer).encode())


if __name__ == "__main__":
    serve(respond)
