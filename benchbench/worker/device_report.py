"""What this machine can compute on, as one line of JSON: ``bench doctor`` asks for it in a process with torch."""

from __future__ import annotations

import json

import torch

import benchbench.worker.main
import benchbench.worker.trial  # noqa: F401 - a worker starts here if these can be imported
from benchbench.worker.accelerate import available_devices, device_name, possible_precisions


def main() -> None:
    """Print the devices with their names and precisions, and the threads that torch uses."""
    devices = [torch.device(name) for name in available_devices()]
    answer = {
        "devices": [
            {"device": str(device), "name": device_name(device), "precisions": possible_precisions(device)}
            for device in devices
        ],
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(answer))  # noqa: T201 - standard output is the answer


if __name__ == "__main__":
    main()
