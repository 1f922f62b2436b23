"""Ids of trials and runs, as people see them, and which run people mean by the beginning of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.errors import SpecError, closest, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchbench.records.record import MlflowRun

_SHOWN_DIGITS = 12
_FEW = 5


def short_id(full_id: str) -> str:
    """Return the beginning of the id of a trial or run, by which messages and tables name it."""
    return full_id[:_SHOWN_DIGITS]


def only_match(
    word: str, runs: Sequence[MlflowRun], *, experiment: str, remark: Callable[[MlflowRun], str] = lambda _: ""
) -> MlflowRun:
    """Return the run that has this name, or whose id begins with it, here or where it was imported from.

    ``runs`` are those of the experiment, oldest first. Raises :class:`~benchbench.errors.SpecError` if the word means
    none of them, or several; then ``remark`` tells what to add to the id of each.
    """
    named = [run for run in runs if run.name == word]
    matching = named or [run for run in runs if word and any(run_id.startswith(word) for run_id in run.ids)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = listed([f"{short_id(run.run_id)}{remark(run)}" for run in reversed(matching)], _FEW)
        if named:
            raise SpecError(f"{len(named)} runs have the name {word!r}", hint=f"give an id; newest first: {ids}")
        message = f"the ids of {len(matching)} runs begin with {word!r}"
        raise SpecError(message, hint=f"give more of the id; newest first: {ids}")
    near = closest(word, [text for run in runs for text in (run.name, *run.ids)])
    raise SpecError(
        f"no run of experiment {experiment!r} is {word!r}",
        hint=near or "see `bench runs list`, or all runs in mlflow ui",
    )
