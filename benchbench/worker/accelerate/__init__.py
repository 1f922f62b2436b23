"""What makes a step faster on a device, applied from outside, without changing what is computed.

::

    acceleration.py  what is accelerated in a trial, chosen by device and precision
    levers.py        each way to make a step faster: whether it fits a trial, and how it is applied
    proof.py         one step with the levers and one without, compared before a trial begins
    proof_pass.py    the forward and the backward pass of those steps
    proof_steps.py   the steps of their optimizers
    devices.py       which devices there are, and their precisions
    memory.py        the allocator, and the peak of a trial

    layers.py        what takes over single layers while a model computes
    products.py      products of large linear layers with small batches
    linear.py        a linear layer that is computed by them
    factored.py      the gradient of a large weight, computed if somebody looks at it
    border.py        convolutions of images with a constant border
    winograd.py      convolutions of 3x3
    winograd_5x5.py  convolutions of 5x5
    optimizers.py    fused steps, and steps without gradients

Modules keep their names, parameters and state. What was done stands in the record, and a trial that is resumed goes on
with it, on whatever machine.
"""

from benchbench.worker.accelerate.acceleration import Acceleration, accelerate
from benchbench.worker.accelerate.devices import available_devices, choose_device, device_name, possible_precisions
from benchbench.worker.accelerate.levers import Case
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
    "give_back_memory",
    "keep_freed_memory",
    "peak_bytes",
    "possible_precisions",
    "reset_peak",
]
