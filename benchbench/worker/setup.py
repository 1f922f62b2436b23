"""From a spec to live objects: everything that is done, and checked, before the first batch of a trial."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchbench.config.kinds import KINDS
from benchbench.data import cache as data_cache
from benchbench.data.preparation import Preparation
from benchbench.data.split_checks import channels_problem, cut_problem
from benchbench.errors import BenchError, SpecError, TrialError
from benchbench.plugin.augmentation import ImageSpec
from benchbench.plugin.failures import check_returned, failure, failures_named
from benchbench.plugin.model import DataSpec
from benchbench.records import file_names, machine
from benchbench.records.events import EpochFinished, Started, Times
from benchbench.worker import checkpoint
from benchbench.worker.accelerate import Case, Proof, device_name, device_versions, give_back_memory, is_out_of_memory
from benchbench.worker.augmentation import Augmenter
from benchbench.worker.batches import EVAL_BATCH_SIZE, Batches, Preprocessing
from benchbench.worker.best_weights import Best
from benchbench.worker.image_reading import Reading, is_resident
from benchbench.worker.model_smoke_test import ModelCheck
from benchbench.worker.schedule import Schedule, WarmUp
from benchbench.worker.seeds import random_states_kept, seed_everything
from benchbench.worker.splits import Splits
from benchbench.worker.torch_settings import TorchSettings
from benchbench.worker.train import Learner
from benchbench.worker.weight_average import Average, have_means

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchbench.config.spec import Spec
    from benchbench.plugin.dataset import Dataset
    from benchbench.plugin.loss import Loss as LossPlugin
    from benchbench.plugin.model import Model
    from benchbench.plugin.optimizer import Optimizer as OptimizerPlugin
    from benchbench.plugin.registry import Registry
    from benchbench.plugin.scheduler import Scheduler as SchedulerPlugin
    from benchbench.protocol.jobs import TrialJob
    from benchbench.protocol.messages import OnStatus
    from benchbench.records.events import DataFacts
    from benchbench.worker.accelerate import Acceleration


Built = TypeVar("Built")


class OutOfMemoryError(TrialError):
    """The device or the machine has no memory left for the trial."""


@dataclass(frozen=True)
class Prepared:
    """A trial that has passed every check and is ready for its first batch.

    A resumed trial goes on after ``epochs``, which took ``times``. If it begins anew instead, ``note`` says why.
    """

    splits: Splits
    train: Batches
    val: Batches
    test: Batches
    learner: Learner
    started: Started
    preparation: Preparation
    epochs: tuple[EpochFinished, ...] = ()
    times: Times = field(default_factory=Times)
    note: str = ""


def prepare(job: TrialJob, registry: Registry, acceleration: Acceleration, *, on_status: OnStatus) -> Prepared:
    """Load the data, seed, build and try the model, build what trains it, and go back to the checkpoint, if any.

    Raises a :class:`~benchbench.errors.BenchError` that says what does not fit.
    """
    spec, device = job.spec, acceleration.device
    settings = TorchSettings(acceleration.precision, num_threads=acceleration.num_threads)
    settings.apply()
    on_status(f"loading {spec.dataset.name}")
    dataset = registry.create("dataset", spec.dataset)
    loaded = data_cache.load(
        dataset,
        Path(job.data_root),
        source_digest=registry.source_digest("dataset", spec.dataset.name),
        on_progress=partial(on_status, f"decoding {dataset.name}"),
    )
    settings.restore(f"dataset {dataset.name}")
    if loaded.warning:
        on_status(loaded.warning)
    saved, note = _saved(job, data_digest=loaded.facts.digest)
    splits = Splits.of(loaded)
    _check_fit(spec, dataset, splits)
    augmenter = _augmenter(spec, registry, dataset, splits)
    settings.restore(f"augmentation {spec.augmentation.name}")
    reading = Reading(is_resident(sum(split.images.nbytes for _, split in splits.items()), device), loaded.forget_pages)
    train, val, test = _batches(spec, dataset, splits, augmenter, device=device, reading=reading)
    on_status(f"building {spec.model.name}")
    seed_everything(spec.seed)
    learner = _build(
        spec,
        registry,
        acceleration,
        (train, val, test),
        num_classes=len(splits.class_names),
        settings=settings,
        prove=partial(_proven, train=train, seed=spec.seed, saved=saved, on_status=on_status),
    )
    eval_batch_size = _fit_eval_batch(learner, train)
    for batches in (train, val, test):
        batches.eval_batch_size = eval_batch_size
    if settings.changes:
        on_status(f"put back what plugins set in torch: {settings.changes}")
    facts = {"evaluation_batch": str(eval_batch_size), "put_back": settings.changes or "nothing"} | (
        {} if reading.resident else {"images": "read from their file, some batches ahead"}
    )
    started = _started(job, registry, loaded.facts, learner, acceleration=learner.acceleration.facts() | facts)
    memory_format = learner.acceleration.memory_format
    train, val, test = (batches.in_format(memory_format) for batches in (train, val, test))
    preparation = Preparation.of(dataset, loaded.facts.image_shape)
    prepared = Prepared(splits, train, val, test, learner, started, preparation, note=note)
    if saved is not None:
        saved.restore(learner)
        prepared = replace(prepared, epochs=saved.epochs, times=saved.times)
        del saved
    give_back_memory()  # what building the model has freed is too fragmented for its steps
    return prepared


def _batches(
    spec: Spec, dataset: Dataset, splits: Splits, augmenter: Augmenter, *, device: torch.device, reading: Reading
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


def _started(
    job: TrialJob, registry: Registry, facts: DataFacts, learner: Learner, *, acceleration: dict[str, str]
) -> Started:
    """Return the first event of the trial."""
    spec, device = job.spec, learner.acceleration.device
    return Started(
        attempt=job.attempt,
        spec=spec,
        data=facts,
        machine=machine.describe(
            device=str(device),
            device_name=device_name(device),
            num_threads=torch.get_num_threads(),
            device_versions=device_versions(device),
        ),
        acceleration=acceleration,
        num_parameters=sum(parameter.numel() for parameter in learner.model.parameters()),
        plugin_origins={kind: registry.origin(kind, spec.plugin(kind).name) for kind in KINDS},
        plugin_sources={kind: registry.source_digest(kind, spec.plugin(kind).name) for kind in KINDS},
        plugin_files=job.plugin_files,
    )


def _saved(job: TrialJob, *, data_digest: str) -> tuple[checkpoint.Checkpoint | None, str]:
    """Return the checkpoint of a trial that goes on, or why it begins anew, if there was one."""
    path, spec_id = Path(job.folder) / file_names.CHECKPOINT, job.spec.id
    # One that continues a shorter trial may have been interrupted before it had a checkpoint of its own.
    if job.continues and not (job.resume and path.exists()):
        path, spec_id = Path(job.continues.folder) / file_names.CHECKPOINT, job.continues.spec_id
    if not (job.resume or job.continues) or not path.exists():
        return None, ""
    try:
        return checkpoint.load(path, spec_id=spec_id, data_digest=data_digest), ""
    except checkpoint.CheckpointError as error:
        return None, f"{error.message}; the trial starts again from its beginning"


def _check_fit(spec: Spec, dataset: Dataset, splits: Splits) -> None:
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


def _augmenter(spec: Spec, registry: Registry, dataset: Dataset, splits: Splits) -> Augmenter:
    num_channels, *lengths = splits.train.images.shape[1:]
    shape = (num_channels, *(min(length, dataset.image_size) for length in lengths))
    data = ImageSpec.of(shape, mean=dataset.mean, num_classes=len(splits.class_names))
    return Augmenter.of(registry.create_augmentations(spec.augmentation), data)


def _build(
    spec: Spec,
    registry: Registry,
    acceleration: Acceleration,
    splits: tuple[Batches, Batches, Batches],
    *,
    num_classes: int,
    settings: TorchSettings,
    prove: Callable[[Acceleration, Case, nn.Module], Acceleration],
) -> Learner:
    model_plugin = registry.create("model", spec.model)
    loss_plugin = registry.create("loss", spec.loss)
    optimizer_plugin = registry.create("optimizer", spec.optimizer)
    scheduler_plugin = registry.create("scheduler", spec.scheduler)
    train, val, test = splits
    window = train.window.joined(val.window).joined(test.window)
    images, _ = next(train.shuffled(seed=spec.seed, epoch=1))
    settings.restore(f"augmentation {spec.augmentation.name}")
    data = DataSpec(
        num_channels=images.shape[1],
        image_size=images.shape[2],
        num_classes=num_classes,
        mean=train.preprocessing.mean,
        std=train.preprocessing.std,
    )
    model = _built(model_plugin, nn.Module, data).to(acceleration.device)
    settings.restore(f"model {model_plugin.name}")
    check = ModelCheck(model, images, acceleration, num_classes=num_classes, plugin=model_plugin)
    num_outputs = check.run(num_images=train.num_images)
    settings.restore(f"model {model_plugin.name}")  # which a forward pass may turn as well
    loss = _built(loss_plugin, nn.Module, train.labels.cpu(), num_outputs=num_outputs).to(acceleration.device)
    if any(parameter.requires_grad for parameter in loss.parameters()):
        raise failure(loss_plugin, "its module has parameters, which no optimizer trains", hint="a loss keeps buffers")
    settings.restore(f"loss {loss_plugin.name}")
    clip_norm = optimizer_plugin.clip_norm
    optimizer = _built(optimizer_plugin, Optimizer, model)
    case = Case(model, optimizer, spec.batch_size, window, clips_gradients=clip_norm is not None)
    settings.restore(f"optimizer {optimizer_plugin.name}")
    # Of the first weights also in a trial that goes on, whose weights are loaded next.
    has_means = have_means(model) if spec.ema_decay is not None else []
    acceleration = prove(acceleration.fitted(case), case, loss).applied(case)
    settings.restore("a training step")  # what plugins turn in every step was named above, but for losses
    scheduler = _built(
        scheduler_plugin, LRScheduler, case.optimizer, num_epochs=spec.epochs, steps_per_epoch=len(train)
    )
    settings.restore(f"scheduler {scheduler_plugin.name}")
    warm_up = WarmUp(round(scheduler_plugin.warmup_epochs * len(train)))
    schedule = Schedule(scheduler, scheduler_plugin.step_every, scheduler_plugin.metric, warm_up)
    average = None if spec.ema_decay is None else Average(model, spec.ema_decay, has_means=has_means)
    best = Best() if spec.select == "best_val" else None
    return Learner(model, case.optimizer, schedule, acceleration, clip_norm, average, best, loss)


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
    """Return the acceleration without what does not compute the same as torch alone, from the weights of now."""
    if saved is not None:
        saved.restore_model(case.model)
    if acceleration.levers:
        on_status("comparing a step with and without acceleration")
    images, labels = next(train.shuffled(seed=seed, epoch=1))
    return Proof(case, images, labels, seed, loss).proven(acceleration)


def _built(
    plugin: Model | LossPlugin | OptimizerPlugin | SchedulerPlugin,
    expected: type[Built],
    *arguments: object,
    **named: object,
) -> Built:
    """Return what the plugin builds, or raise an error that names the plugin's file and line."""
    with failures_named(plugin, "in build()", unless=is_out_of_memory):
        built = plugin.build(*arguments, **named)  # type: ignore[arg-type]
    return check_returned(built, expected, plugin=plugin, function=plugin.build)


def _fit_eval_batch(learner: Learner, train: Batches) -> int:
    """Return how many images an evaluation batch has: fewer than usual if a GPU's memory is short."""
    if learner.acceleration.device.type == "cpu":
        return EVAL_BATCH_SIZE

    @torch.no_grad()
    def evaluate(size: int) -> None:
        train.eval_batch_size = size
        images, _ = next(train.in_order())
        with random_states_kept(learner.acceleration.device), learner.acceleration.context(images):
            learner.evaluated.eval()
            learner.evaluated(images)

    # States of the optimizer, which the first step makes and which stay during an evaluation.
    num_states = 1 if isinstance(learner.optimizer, torch.optim.SGD) else 2
    weights = (weight for group in learner.optimizer.param_groups for weight in group["params"])
    reserved = [torch.empty_like(weight) for weight in weights if weight.requires_grad for _ in range(num_states)]
    size = largest_batch(evaluate)
    del reserved
    return size


def largest_batch(evaluate: Callable[[int], None]) -> int:
    """Return the largest of 64, 32, 16 and 8 images that ``evaluate`` has memory for; raises what it raises for 8."""
    for size in (EVAL_BATCH_SIZE, EVAL_BATCH_SIZE // 2, EVAL_BATCH_SIZE // 4):
        try:
            evaluate(size)
        except Exception as error:  # a stranger's network; there are many errors of memory
            if not is_out_of_memory(error):
                raise
        else:
            return size
        give_back_memory()
    evaluate(EVAL_BATCH_SIZE // 8)
    return EVAL_BATCH_SIZE // 8


@contextmanager
def memory_errors_named(when: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn the many ways of running out of memory into an :class:`OutOfMemoryError`.

    ``when`` is asked then for what needed the memory, such as ``in a training step of 32 images``.
    """
    try:
        yield
    except BenchError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        first_line = str(error).partition("\n")[0] or "the system has no more to give"
        raise OutOfMemoryError(
            f"{' '.join(filter(None, ('out of memory', when())))}: {first_line}",
            hint="a smaller --batch-size or dataset.image_size needs less",
        ) from error
