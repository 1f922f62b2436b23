"""What a worker is asked to carry out: specs, and all that is needed besides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchbench.config.defaults import Accelerate
from benchbench.config.spec import Spec
from benchbench.config.training_options import TrainingOptions


@dataclass(frozen=True)
class Resolved:
    """A spec with what decides whether an earlier trial of it still counts.

    ``data_digest`` is that of the images as they are now; ``sources`` has the sha256 of each plugin's source, by kind.
    ``depends_on_length``: the number of epochs changes how each of them is trained.
    """

    spec: Spec
    data_digest: str
    sources: Mapping[str, str]
    depends_on_length: bool = True


@dataclass(frozen=True)
class Continued:
    """A finished trial with fewer epochs, whose checkpoint another goes on from: the folder of its attempt."""

    spec_id: str
    folder: str


@dataclass(frozen=True)
class OtherAttempts:
    """Which attempts at a trial, of other calls, make it needless to begin one.

    Those for the same images and the same ``destination``, a store and an experiment in MLflow, that have finished
    since the trial was planned, which are not in ``finished_before``.
    """

    destination: tuple[str, str]
    finished_before: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialJob:
    """A trial to run: its spec, and where and how to run it.

    ``folder`` belongs to the attempt; ``resume`` goes on from the checkpoint in it. ``continues`` is a shorter trial
    whose checkpoint a new one begins with. ``repeats_end``: the trial has finished, and only what it keeps is made
    again. ``others`` are the attempts after which a new one is refused; without them, it is trained again.
    """

    spec: Spec
    attempt: str
    data_root: str
    folder: str
    training: TrainingOptions = field(default_factory=TrainingOptions)
    resume: bool = False
    continues: Continued | None = None
    plugin_files: tuple[str, ...] = ()
    repeats_end: bool = False
    others: OtherAttempts | None = None

    def on_device(self, device: str) -> TrialJob:
        """Return the job on this device, if any will do for it."""
        return self.with_training(device=device) if self.training.device == "auto" else self

    def with_training(self, **options: object) -> TrialJob:
        """Return the job with other training options."""
        return replace(self, training=TrainingOptions.model_validate(dict(self.training) | options))


@dataclass(frozen=True)
class TimingJob:
    """Variants to time in interleaved rounds.

    ``names`` are those of the variants, ``data_roots`` the images by dataset. A measurement is ``steps`` training
    steps, or, if that is None, an epoch with its validation. ``accelerate`` is that of each variant; without any, all
    are accelerated.
    """

    specs: tuple[Spec, ...]
    names: tuple[str, ...]
    rounds: int
    steps: int | None
    device: str
    data_roots: Mapping[str, str]
    plugin_files: tuple[str, ...] = ()
    accelerate: tuple[Accelerate, ...] = ()
