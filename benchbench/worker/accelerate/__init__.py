"""What makes a step faster on a device, applied from outside, without changing what is computed.

::

    acceleration.py  what is accelerated in a trial, chosen by device and precision
    lever.py         one way to make a step faster: where it wins, whether it fits a trial, and how it is applied
    levers.py        all of them
    proof.py         one step with the levers and one without, compared before a trial begins
    proof_pass.py    the forward and the backward pass of those steps
    proof_steps.py   the steps of their optimizers
    devices.py       which devices there are, and their precisions
    memory.py        the allocator, and the peak of a trial

    linear.py        large linear layers
    products.py      products of large linear layers with small batches
    factored.py      the gradient of a large weight, computed if somebody looks at it
    optimizers.py    fused steps
    in_place.py      steps without gradients
    channels_last.py convolutions with channels last in memory
    border.py        convolutions of images with a constant border
    winograd.py      convolutions with fewer multiplications
    winograd_3x3.py  those of 3x3
    winograd_5x5.py  those of 5x5
    layers.py        what takes over single layers while a model computes

Modules keep their names, parameters and state. What was done stands in the record, and a trial that is resumed goes on
with it, on whatever machine.
"""

from benchbench.worker.accelerate.acceleration import Acceleration, accelerate
from benchbench.worker.accelerate.devices import (
    available_devices,
    choose_device,
    device_name,
    device_versions,
    possible_precisions,
)
from benchbench.worker.accelerate.lever import Case
from benchbench.worker.accelerate.memory import give_back_memory, keep_freed_memory, peak_bytes, reset_peak
from benchbench.worker.accelerate.proof import Proof

__all__ = [
    "Acceleration",
    "Case",
    "Proof",
    "accelerate",
    "available_devices",
    "choose_device",
    "device_name",
    "device_versions",
    "give_back_memory",
    "keep_freed_memory",
    "peak_bytes",
    "possible_precisions",
    "reset_peak",
]
