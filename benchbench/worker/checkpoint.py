"""Checkpoints: all that a trial needs to resume at the end of an epoch as if it had never stopped.

A file is replaced whole or not at all. It holds tensors and plain values only and is read with torch's
``weights_only``, so that reading one never runs code.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchbench.errors import CheckpointError, SpecError, TrialError, first_line
from benchbench.paths import replacing, system_error
from benchbench.records.events import EpochFinished, Times, event_from_json, event_to_json
from benchbench.records.state import GOES_ON
from benchbench.worker.seeds import random_states, restore_random_states

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from benchbench.records.events import Started
    from benchbench.worker.train import Learner

FORMAT = 5
FRESH = "--fresh trains from the beginning"


class UnreadableStateError(TrialError):
    """The state of a trial holds values that a checkpoint cannot keep."""


@dataclass(frozen=True)
class Checkpoint:
    """A trial at the end of an epoch. ``states`` are state_dicts by the name of what they are of.

    ``trained`` names the parameters that are not frozen: a scheduler may freeze some in the middle of training.
    """

    spec_id: str
    data_digest: str
    epochs: tuple[EpochFinished, ...]
    states: dict[str, Any]
    trained: frozenset[str]
    random_states: dict[str, Any]
    times: Times

    @staticmethod
    def of(learner: Learner, epochs: tuple[EpochFinished, ...], *, started: Started, times: Times) -> Checkpoint:
        """Return the checkpoint of a learner as it is now; raises :class:`UnreadableStateError`."""
        return Checkpoint(
            spec_id=started.spec.id,
            data_digest=started.data.digest,
            epochs=epochs,
            states=_states(learner),
            trained=frozenset(name for name, parameter in learner.model.named_parameters() if parameter.requires_grad),
            random_states=random_states(learner.acceleration.device),
            times=times,
        )

    def to_content(self) -> dict[str, Any]:
        """Return what the file holds: tensors and plain values."""
        return vars(self) | {
            "format": FORMAT,
            "epochs": [event_to_json(epoch) for epoch in self.epochs],
            "trained": sorted(self.trained),
            "times": asdict(self.times),
        }

    @staticmethod
    def from_content(content: dict[str, Any]) -> Checkpoint:
        """Return the checkpoint of what a file holds; raises :class:`KeyError` if something is missing."""
        plain = {field.name: content[field.name] for field in fields(Checkpoint)}
        return Checkpoint(
            **plain
            | {
                "epochs": tuple(_epoch_events(content["epochs"])),
                "trained": frozenset(content["trained"]),
                "times": Times(**content["times"]),
            }
        )

    def restore(self, learner: Learner) -> None:
        """Restore the learner and all random generators, on whichever device they are now.

        Raises :class:`~benchbench.errors.SpecError` if it does not fit the model, the optimizer or the scheduler.
        """
        _check_shapes(learner.model, self.states["model"])
        with _misfits_named():
            for name, part in _parts(learner).items():
                part.load_state_dict(self.states[name])
            for name, parameter in learner.model.named_parameters():
                parameter.requires_grad_(name in self.trained)
            _take_types(learner.optimizer, self.states["optimizer"])
            _take_strides(learner.optimizer)
        restore_random_states(self.random_states, learner.acceleration.device)

    def restore_model(self, model: nn.Module) -> None:
        """Restore the model alone; raises :class:`~benchbench.errors.SpecError` if the state does not fit it."""
        _check_shapes(model, self.states["model"])
        with _misfits_named():
            model.load_state_dict(self.states["model"])


def save(
    path: Path,
    learner: Learner,
    epochs: tuple[EpochFinished, ...],
    *,
    started: Started,
    times: Times,
    group_sizes: Sequence[int],
) -> None:
    """Write a checkpoint; when this returns it is on disk, and until then the one before it is.

    Raises :class:`UnreadableStateError` for a state that no file can hold or give back, or that the optimizer as it was
    built, with so many parameters in each of its groups (``group_sizes``), could not take; and
    :class:`CheckpointError` if the file cannot be written. The checkpoint before stays then.
    """
    if group_sizes_of(learner.optimizer) != list(group_sizes):
        raise UnreadableStateError(
            "epochs from here on are lost if this trial is interrupted: its optimizer has new groups of parameters",
            hint="give it all groups when it is built, those that are trained later with a learning rate of 0",
        )
    content = Checkpoint.of(learner, epochs, started=started, times=times).to_content()
    try:
        with replacing(path, is_only_writer=True) as file:
            torch.save(content, file)
            file.flush()
            _read_back(Path(file.name))
    except (OSError, RuntimeError) as error:
        reason = system_error(error) or error
        raise CheckpointError(f"the checkpoint {path} cannot be written: {reason}", hint=GOES_ON) from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # of functions, locks and generators
        raise _unreadable(f"what cannot be saved ({first_line(error)})") from error


def group_sizes_of(optimizer: Optimizer) -> list[int]:
    """Return how many parameters each group of an optimizer has."""
    return [len(group["params"]) for group in optimizer.param_groups]


def _states(learner: Learner) -> dict[str, Any]:
    """Return the states of all parts; torch's own ``LambdaLR`` has none for a function without attributes."""
    try:
        return {name: _in_pythons_numbers(part.state_dict()) for name, part in _parts(learner).items()}
    except Exception as error:  # a stranger's code may raise anything
        raise _unreadable(f"what cannot be saved ({first_line(error)})") from error


def _in_pythons_numbers(state: Any) -> Any:
    """Return a state with Python's numbers for numpy's, which torch does not read back.

    Those of other sizes than Python's stay: one would go on computing with other rounding errors. Containers without
    numbers of numpy stay the same objects, so that what a state refers to twice remains one object.
    """
    if isinstance(state, np.float64 | np.integer | np.bool_):
        return state.item()
    if isinstance(state, dict):
        items = [(_in_pythons_numbers(key), _in_pythons_numbers(value)) for key, value in state.items()]
        if all(map(_are_same, items, state.items())):
            return state
        copied = copy.copy(state)  # torch keeps the versions of layers as an attribute of a model's state
        copied.clear()
        for key, value in items:  # the update() of a counter would count them
            copied[key] = value
        return copied
    if type(state) in (list, tuple):
        values = [_in_pythons_numbers(value) for value in state]
        return state if _are_same(values, state) else type(state)(values)
    return state


def _are_same(values: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(value is other for value, other in zip(values, others, strict=True))


def _read_back(path: Path) -> None:
    """Raise :class:`UnreadableStateError` if a file cannot be read; reads no numbers of its tensors."""
    try:
        torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # which depends on what was saved: torch lists no errors of its own
        raise _unreadable(_refused_class(error) or first_line(error)) from error


def _refused_class(error: Exception) -> str:
    """Return the class or function that torch refused to read, such as ``numpy.dtype``, or nothing."""
    return next(iter(re.findall(r"GLOBAL ([\w.]+)", str(error))), "")


def _unreadable(content: str) -> UnreadableStateError:
    return UnreadableStateError(
        f"epochs from here on are lost if this trial is interrupted: its state holds {content}",
        hint="keep only Python numbers and torch tensors in the state of optimizer and scheduler",
    )


def load(path: Path, *, spec_id: str, data_digest: str) -> Checkpoint:
    """Read the checkpoint of this spec and these images; raises :class:`CheckpointError` if it cannot be used."""
    with _damage_named(path):
        content = torch.load(path, map_location="cpu", weights_only=True)
        origin = (content["format"], content["spec_id"], content["data_digest"])
    if origin != (FORMAT, spec_id, data_digest):
        raise CheckpointError(
            f"the checkpoint {path} belongs to another version of benchbench, another trial or other data"
        )
    with _damage_named(path):
        return Checkpoint.from_content(content)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file makes torch raise many kinds
        refused = _refused_class(error)
        if refused:
            raise CheckpointError(f"the checkpoint {path} cannot be read: it holds {refused}") from error
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"the checkpoint {path} is damaged: {reason}") from error


@contextmanager
def _misfits_named() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, KeyError) as error:
        raise SpecError(f"the checkpoint does not fit the plugins: {first_line(error)}", hint=FRESH) from error


def _parts(learner: Learner) -> dict[str, Any]:
    """Return all that has a state, by its name in a checkpoint."""
    parts = {"model": learner.model, "optimizer": learner.optimizer, "scheduler": learner.schedule.scheduler}
    average = {} if learner.average is None else {"average": learner.average.model}
    loss = {"loss": learner.loss} if isinstance(learner.loss, torch.nn.Module) else {}
    return parts | average | loss | ({} if learner.best is None else {"best": learner.best})


def _epoch_events(lines: list[str]) -> list[EpochFinished]:
    return [event for event in map(event_from_json, lines) if isinstance(event, EpochFinished)]


def _check_shapes(model: nn.Module, states: Mapping[str, torch.Tensor]) -> None:
    ours = {name: tuple(value.shape) for name, value in _tensors(model.state_dict()).items()}
    theirs = {name: tuple(value.shape) for name, value in _tensors(states).items()}
    for name in (*ours, *theirs):
        if ours.get(name) != theirs.get(name):
            raise SpecError(
                f"the checkpoint does not fit the model: {name} is {_shape(theirs, name)} in it and"
                f" {_shape(ours, name)} in the model",
                hint=FRESH,
            )


def _tensors(states: Any) -> dict[str, torch.Tensor]:
    """Return the tensors among these states, by name; none if an optimizer keeps something else than a mapping."""
    if not isinstance(states, Mapping):
        return {}
    return {name: value for name, value in states.items() if isinstance(value, torch.Tensor)}


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return "x".join(map(str, shapes[name])) or "a number" if name in shapes else "missing"


def _take_types(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Restore the dtypes of the optimizer's state: torch loads all of it in the dtype of the weights.

    A ``state_dict`` of another form than torch's is loaded by the optimizer itself, and left as it is.
    """
    if not (isinstance(saved, Mapping) and {"state", "param_groups"} <= saved.keys()):
        return
    indices = [index for group in saved["param_groups"] for index in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in zip(indices, parameters, strict=False):
        if parameter in optimizer.state and index in saved["state"]:
            optimizer.state[parameter] = _in_type_of(saved["state"][index], optimizer.state[parameter])


def _in_type_of(saved: Any, loaded: Any) -> Any:
    """Return what was loaded, with tensors in the dtypes that they were saved in, at any depth of containers."""
    if isinstance(saved, torch.Tensor) and isinstance(loaded, torch.Tensor):
        return loaded if loaded.dtype == saved.dtype else saved.to(loaded.device, copy=True)
    if isinstance(saved, dict) and isinstance(loaded, dict):
        return loaded | {name: _in_type_of(saved[name], value) for name, value in loaded.items() if name in saved}
    if isinstance(saved, list | tuple) and type(loaded) is type(saved):
        return type(loaded)(map(_in_type_of, saved, loaded))
    return loaded


def _take_strides(optimizer: torch.optim.Optimizer) -> None:
    """Give the optimizer's state of a parameter the same order in memory as the parameter.

    Fused steps read both as plain memory, and the checkpoint may be from a device that orders it otherwise.
    """
    for parameter, state in optimizer.state.items():
        if not isinstance(parameter, torch.Tensor):
            continue  # what an optimizer keeps beside the states of parameters, under a name
        for name, value in _tensors(state).items():
            if value.shape == parameter.shape and name != "step":
                state[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
