"""What makes a step faster on a device, applied from outside, without changing what is computed.

::

    acceleration.py     what is accelerated in a trial, chosen by device and precision
    lever.py            the base class of levers; a lever is one way to make a step faster
    all_levers.py       the list of all levers
    proof.py            compares one step with the levers and one without, before a trial begins
    proof_pass.py       the forward and backward pass of the proof
    proof_steps.py      the optimizer's steps of the proof
    tolerances.py       how far the two steps may differ
    devices.py          which devices there are, and their precisions
    allocator.py        how memory is allocated on Linux, and the peak of a trial

    linear.py           large linear layers, and which products compute them on which processors
    linear_products.py  products of large linear layers with small batches
    lazy_gradient.py    the gradient of a large weight, computed only if something reads it
    fused_steps.py      fused steps of optimizers
    steps_in_place.py   steps of SGD that write no gradients
    channels_last.py    convolutions with channels last in memory
    constant_border.py  convolutions of images with a constant border, computed once for all images
    winograd.py         Winograd's convolutions of 3x3, with fewer multiplications
    layers.py           replaces single layers while a model computes

Modules keep their names, parameters and state. The record says what was used, and a resumed trial keeps using it,
on any machine.
"""

from benchbench.worker.accelerate.acceleration import Acceleration, accelerate
from benchbench.worker.accelerate.allocator import (
    give_back_memory,
    is_out_of_memory,
    keep_freed_memory,
    peak_bytes,
    reset_peak,
)
from benchbench.worker.accelerate.devices import (
    available_devices,
    choose_device,
    device_name,
    device_versions,
    possible_precisions,
)
from benchbench.worker.accelerate.lever import Case
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
    "is_out_of_memory",
    "keep_freed_memory",
    "peak_bytes",
    "possible_precisions",
    "reset_peak",
]
