"""Where the time of a step goes with benchbench: torch's operators by what they take, most first."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path

import torch
from ours import prepared
from work import WARMUP_STEPS, read_work

from benchbench.protocol.shared_counter import SharedCounter
from benchbench.worker.accelerate import keep_freed_memory
from benchbench.worker.train import train_epoch

STEPS = 10
MIN_MILLISECONDS = 1.0

if __name__ == "__main__":
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        trial = prepared(read_work(), Path(temporary))
        counter = SharedCounter(Path(temporary) / "counter")
        train_epoch(trial.learner, islice(trial.train.shuffled(seed=0, epoch=1), WARMUP_STEPS), counter=counter)
        with torch.profiler.profile(record_shapes=True) as profile:
            train_epoch(trial.learner, islice(trial.train.shuffled(seed=0, epoch=2), STEPS), counter=counter)
    averages = profile.key_averages(group_by_input_shape=True)
    total = sum(entry.self_cpu_time_total for entry in averages)
    print(f"{total / STEPS / 1000:7.1f} ms a step")
    for entry in sorted(averages, key=lambda entry: -entry.self_cpu_time_total):
        taken = entry.self_cpu_time_total / STEPS / 1000
        if taken >= MIN_MILLISECONDS:
            print(f"{taken:7.1f} ms  {entry.key:32} {[shape for shape in entry.input_shapes if shape]}")
