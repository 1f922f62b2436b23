"""From a spec to live objects: everything that is done, and checked, before the first batch of a trial."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchbench.config.kinds import KINDS
from benchbench.data import cache as data_cache
from benchbench.data.preparation import Preparation
from benchbench.data.split_checks import channels_problem, cut_problem
from benchbench.errors import CheckpointError, SpecError
from benchbench.plugin.augmentation import ImageSpec
from benchbench.records import file_names, machine
from benchbench.records.events import EpochFinished, Started, Times
from benchbench.worker import checkpoint
from benchbench.worker.accelerate import Case, Proof, device_name, device_versions, give_back_memory
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import Batches, Preprocessing
from benchbench.worker.building import Builder
from benchbench.worker.image_reading import ReadingMode, is_resident
from benchbench.worker.out_of_memory import set_eval_batch_size
from benchbench.worker.seeds import seed_everything
from benchbench.worker.splits import TensorSplits
from benchbench.worker.torch_settings import TorchSettings

if TYPE_CHECKING:
    from benchbench.config.spec import Spec
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.registry import Registry
    from benchbench.protocol.jobs import TrialJob
    from benchbench.protocol.messages import OnStatus
    from benchbench.records.events import DataFacts
    from benchbench.worker.accelerate import Acceleration
    from benchbench.worker.train import Learner


@dataclass(frozen=True)
class ReadyTrial:
    """A trial that has passed every check and is ready for its first batch.

    A resumed trial goes on after ``epochs``, which took ``times``. If it begins anew instead, ``note`` says why.
    """

    splits: TensorSplits
    train: Batches
    val: Batches
    test: Batches
    learner: Learner
    started: Started
    preparation: Preparation
    epochs: tuple[EpochFinished, ...] = ()
    times: Times = field(default_factory=Times)
    note: str = ""


def prepare(job: TrialJob, registry: Registry, acceleration: Acceleration, *, on_status: OnStatus) -> ReadyTrial:
    """Load the data, seed, build and try the model, build what trains it, and go back to the checkpoint, if any.

    Raises a :class:`~benchbench.errors.BenchError` that says what does not fit.
    """
    settings = TorchSettings(acceleration.precision, num_threads=acceleration.num_threads)
    settings.apply()
    setup = _Setup(job, registry, acceleration, settings, on_status)
    ready = setup.make_ready(setup.load_data())
    give_back_memory()  # what building the model has freed is too fragmented for its steps
    return ready


@dataclass(frozen=True)
class _Data:
    """The images of a trial, and the batches of train, val and test."""

    dataset: Dataset
    facts: DataFacts
    splits: TensorSplits
    reading: ReadingMode
    batches: tuple[Batches, Batches, Batches]


@dataclass(frozen=True)
class _Setup:
    """What every stage of the preparation needs."""

    job: TrialJob
    registry: Registry
    acceleration: Acceleration
    settings: TorchSettings
    on_status: OnStatus

    def load_data(self) -> _Data:
        """Return the images in batches."""
        spec, device = self.job.spec, self.acceleration.device
        dataset, loaded = self._load_dataset()
        splits = TensorSplits.of(loaded)
        _check_fit(spec, dataset, splits)
        augmenter = _augmenter(spec, self.registry, dataset, splits)
        self.settings.restore(f"augmentation {spec.augmentation.name}")
        num_bytes = sum(split.images.nbytes for _, split in splits.items())
        reading = ReadingMode(is_resident(num_bytes, device), loaded.forget_pages)
        batches = _batches(spec, dataset, splits, augmenter, device=device, reading=reading)
        return _Data(dataset, loaded.facts, splits, reading, batches)

    def make_ready(self, data: _Data) -> ReadyTrial:
        """Build what trains, and go back to the checkpoint, whose memory is free once this has returned."""
        saved, note = _saved(self.job, data_digest=data.facts.digest)
        learner, note_on_model = self._learner(data, saved)
        started = replace(self._started(data, learner), note=note_on_model)
        train, val, test = (batches.in_format(learner.acceleration.memory_format) for batches in data.batches)
        preparation = Preparation.of(data.dataset, data.facts.image_shape)
        ready = ReadyTrial(data.splits, train, val, test, learner, started, preparation, note=note)
        if saved is None:
            return ready
        saved.restore(learner)
        return replace(ready, epochs=saved.epochs, times=saved.times)

    def _load_dataset(self) -> tuple[Dataset, data_cache.LoadedDataset]:
        """Return the dataset plugin, and its images from the cache or from their files."""
        spec = self.job.spec
        self.on_status(f"loading {spec.dataset.name}")
        dataset = self.registry.create("dataset", spec.dataset)
        loaded = data_cache.load(
            dataset,
            Path(self.job.data_root),
            source_digest=self.registry.source_digest("dataset", spec.dataset.name),
            on_progress=partial(self.on_status, f"decoding {dataset.name}"),
        )
        self.settings.restore(f"dataset {dataset.name}")
        if loaded.warning:
            self.on_status(loaded.warning)
        return dataset, loaded

    def _learner(self, data: _Data, saved: checkpoint.Checkpoint | None) -> tuple[Learner, str]:
        """Build the model and what trains it, with new weights; return it with a note on the model, if there is one.

        The checkpoint is for the proof of an acceleration.
        """
        spec, settings = self.job.spec, self.settings
        self.on_status(f"building {spec.model.name}")
        seed_everything(spec.seed)
        train, val, test = data.batches
        builder = Builder(
            spec,
            self.registry,
            self.acceleration,
            settings,
            train,
            window=train.window.joined(val.window).joined(test.window),
            num_classes=len(data.splits.class_names),
        )
        prove = partial(_proven, train=train, seed=spec.seed, saved=saved, on_status=self.on_status)
        learner, note = builder.learner(prove)
        set_eval_batch_size(learner, data.batches)
        if settings.changes:
            self.on_status(f"restored torch settings that plugins had changed: {settings.changes}")
        return learner, note

    def _started(self, data: _Data, learner: Learner) -> Started:
        """Return the first event of the trial."""
        spec, device, registry = self.job.spec, learner.acceleration.device, self.registry
        return Started(
            attempt=self.job.attempt,
            spec=spec,
            data=data.facts,
            machine=machine.describe(
                device=str(device),
                device_name=device_name(device),
                num_threads=torch.get_num_threads(),
                device_versions=device_versions(device),
            ),
            acceleration=self._computation_facts(data, learner),
            num_parameters=sum(parameter.numel() for parameter in learner.model.parameters()),
            plugin_origins={kind: registry.origin(kind, spec.plugin(kind).name) for kind in KINDS},
            plugin_sources={kind: registry.source_digest(kind, spec.plugin(kind).name) for kind in KINDS},
            plugin_files=self.job.plugin_files,
        )

    def _computation_facts(self, data: _Data, learner: Learner) -> dict[str, str]:
        """Return how the trial is computed, for its record."""
        eval_batch_size = data.batches[0].eval_batch_size
        facts = learner.acceleration.facts()
        facts |= {"evaluation_batch": str(eval_batch_size), "put_back": self.settings.changes or "nothing"}
        if not data.reading.resident:
            facts["images"] = "read from their file, some batches ahead"
        return facts


def _batches(
    spec: Spec,
    dataset: Dataset,
    splits: TensorSplits,
    augmenter: Augmenter,
    *,
    device: torch.device,
    reading: ReadingMode,
) -> tuple[Batches, Batches, Batches]:
    """Return the batches of train, val and test."""
    train, val, test = (
        Batches(
            split,
            Preprocessing(dataset.image_size, dataset.mean, dataset.std),
            batch_size=spec.batch_size,
            device=device,
            augmenter=augmenter,
            reading=reading,
        )
        for _, split in splits.items()
    )
    return train, val, test


def _saved(job: TrialJob, *, data_digest: str) -> tuple[checkpoint.Checkpoint | None, str]:
    """Return the checkpoint of a trial that goes on, or a note on why it cannot be used; neither if there is none."""
    path, spec_id = Path(job.folder) / file_names.CHECKPOINT, job.spec.id
    # One that continues a shorter trial may have been interrupted before it had a checkpoint of its own.
    if job.continues and not (job.resume and path.exists()):
        path, spec_id = Path(job.continues.folder) / file_names.CHECKPOINT, job.continues.spec_id
    if not (job.resume or job.continues) or not path.exists():
        return None, ""
    try:
        return checkpoint.load(path, spec_id=spec_id, data_digest=data_digest), ""
    except CheckpointError as error:
        return None, f"{error.message}; the trial starts over"


def _check_fit(spec: Spec, dataset: Dataset, splits: TensorSplits) -> None:
    if spec.batch_size > len(splits.train):
        raise SpecError(
            f"batch size {spec.batch_size} is larger than the training set of {len(splits.train)} images",
            hint=f"--batch-size {len(splits.train)} at most",
        )
    problem = channels_problem(dataset, num_channels=splits.train.images.shape[1])
    if problem:
        raise SpecError(problem, hint="one for each channel, or one for all")
    image_shape = tuple(splits.train.images.shape[1:])
    problem = cut_problem(dataset, image_shape)
    if problem:
        side = max(image_shape[1:])
        raise SpecError(
            problem,
            hint=f"--set dataset.image_size={side} keeps all of them; dataset.fit=resize or crop makes them fit",
        )


def _augmenter(spec: Spec, registry: Registry, dataset: Dataset, splits: TensorSplits) -> Augmenter:
    num_channels, *lengths = splits.train.images.shape[1:]
    shape = (num_channels, *(min(length, dataset.image_size) for length in lengths))
    data = ImageSpec.of(shape, mean=dataset.mean, num_classes=len(splits.class_names))
    return Augmenter.of(registry.create_augmentations(spec.augmentation), data)


def _proven(
    acceleration: Acceleration,
    case: Case,
    loss: nn.Module,
    *,
    train: Batches,
    seed: int,
    saved: checkpoint.Checkpoint | None,
    on_status: OnStatus,
) -> Acceleration:
    """Return the acceleration with only those levers that compute the same as torch, from the current weights."""
    if saved is not None:
        saved.restore_model(case.model)
    if acceleration.levers:
        on_status("comparing a step with and without acceleration")
    images, labels = next(train.shuffled(seed=seed, epoch=1))
    return Proof(case, images, labels, seed, loss).proven(acceleration)
