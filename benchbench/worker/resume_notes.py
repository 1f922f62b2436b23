"""Notes for a trial that is resumed: what is not as it was when the trial began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.config.kinds import describe_changed
from benchbench.records.run_ids import short_id

if TYPE_CHECKING:
    from benchbench.protocol.jobs import Continued, TrialJob
    from benchbench.records.events import Started
    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.setup import ReadyTrial


def resume_note(job: TrialJob, ready: ReadyTrial, *, began: Started | None, shorter: Continued | None) -> str:
    """Return all notes in one line.

    ``began`` is the first event of the trial, or of the ``shorter`` one that it continues.
    """
    now, acceleration = ready.started, ready.learner.acceleration
    num_epochs = len(ready.epochs)
    notes = (
        _continued(shorter, num_epochs),
        _other_device(began, now),
        _other_plugins(began, now, num_epochs),
        _computed_as_before(job, acceleration),
        f"no longer accelerated: {acceleration.note}" if acceleration.note else "",
        _other_batches(began, now),
        ready.note,
    )
    return "; ".join(filter(None, notes))


def _continued(shorter: Continued | None, num_epochs: int) -> str:
    """Return a note on the shorter trial that these epochs are from."""
    if shorter is None or not num_epochs:
        return ""
    return f"epochs 1 to {num_epochs} are those of the finished trial with the spec id {short_id(shorter.spec_id)}"


def _other_device(began: Started | None, now: Started) -> str:
    """Return a note on a trial that is resumed on another kind of device."""
    devices = [event.machine.device.partition(":")[0] for event in (began, now) if event]
    return "" if len(set(devices)) == 1 else f"it was started on {devices[0]} and resumed on {devices[1]}"


def _other_plugins(began: Started | None, now: Started, num_epochs: int) -> str:
    """Return a note on plugins that changed since: asked for, or while a worker that was killed was replaced."""
    changed = describe_changed(now.plugin_sources, began.plugin_sources if began else {})
    return f"{changed} since epoch {num_epochs}" if changed else ""


def _computed_as_before(job: TrialJob, acceleration: Acceleration) -> str:
    """Return a note on a trial that is computed as when it began, and not as the job asks for now."""
    options = []
    if acceleration.mode != job.training.accelerate:
        options.append(f"with --accelerate {acceleration.mode}")
    if acceleration.compiled is not job.training.compile:
        options.append("without --compile" if job.training.compile else "with --compile")
    return f"computed {' and '.join(options)}, as when it began (--fresh starts over)" if options else ""


def _other_batches(began: Started | None, now: Started) -> str:
    """Return a note on images that are read from somewhere else, or evaluated in other batches, than before."""
    if began is None:
        return ""
    before, here = ({"images": "in memory"} | started.acceleration for started in (began, now))
    names = {"images": "images", "evaluation_batch": "images per evaluation batch"}
    return "; ".join(
        f"{name}: {here.get(key)}, before: {before[key]}"
        for key, name in names.items()
        if key in before and before[key] != here.get(key)
    )
