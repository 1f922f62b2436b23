"""How often a comparison was looked at, and with how many trials, in the tags of its experiment."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.tracking.reading import as_tracking_error, looking_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow import MlflowClient

LOOKS_TAG = "benchbench.looks."
DIGITS = 12
MAX_CHARACTERS = 5_000
"""Of an experiment's tag, mlflow/utils/validation.py."""

Looks = dict[str, list[int]]
"""The number of trials at each look, oldest first, by test."""

_ALL = ""
"""Stands for all tests, of a comparison with too many for a tag."""


@dataclass(frozen=True)
class LookHistory:
    """The looks at the comparisons of one experiment."""

    client: MlflowClient
    experiment_id: str

    def record_look(self, comparison_key: str, num_trials: Mapping[str, int]) -> list[int]:
        """Record a look at some tests with these numbers of trials, and return those of all looks, oldest first.

        If a test has no more trials than at its last look, this is not a new look at it. The looks returned are those
        of the test that was looked at most often; with hundreds of tests, only those are recorded. Raises
        :class:`~benchbench.errors.TrackingError` if the tags cannot be read or written.
        """
        with as_tracking_error("cannot remember how often this comparison was looked at"):
            before = self._recorded(comparison_key)
            now: Looks = {}
            for test, number in num_trials.items():
                past = before.get(_short(test), before.get(_ALL, []))
                now[_short(test)] = [*past, number] if not past or number > past[-1] else past
            looks = _fitted(before | now)
            if looks != before:
                self.client.set_experiment_tag(self.experiment_id, _tag(comparison_key), _text(looks))
        return _most(now)

    def recorded_looks(self, comparison_key: str, tests: Iterable[str]) -> list[int]:
        """Return the looks at some tests, without recording one; raises the same."""
        with as_tracking_error("cannot tell how often this comparison was looked at"):
            before = self._recorded(comparison_key)
        return max((before.get(_short(test), before.get(_ALL, [])) for test in tests), key=_newest, default=[])

    def all_looks(self) -> dict[str, Looks]:
        """Return the looks at every comparison, by its key in the tags."""
        tags = self.client.get_experiment(self.experiment_id).tags
        return {tag.removeprefix(LOOKS_TAG): json.loads(tags[tag]) for tag in tags if tag.startswith(LOOKS_TAG)}

    def add_looks(self, looks: Mapping[str, Looks]) -> None:
        """Add those that were taken elsewhere: what either history has counts, once."""
        before = self.all_looks()
        for key, others in looks.items():
            ours = before.get(key, {})
            both = _fitted(_united(ours, others))
            if both != ours:
                self.client.set_experiment_tag(self.experiment_id, f"{LOOKS_TAG}{key}", _text(both))

    def _recorded(self, comparison_key: str) -> Looks:
        return self.all_looks().get(_short(comparison_key), {})


@contextmanager
def open_look_history(experiment: str) -> Iterator[LookHistory]:
    """Open the history of an experiment's looks."""
    with looking_up(experiment) as (client, experiment_id):
        yield LookHistory(client, experiment_id)


def _united(one: Looks, other: Looks) -> Looks:
    if _ALL in one or _ALL in other:
        one, other = ({_ALL: _most(looks)} for looks in (one, other))
    return {test: sorted({*one.get(test, []), *other.get(test, [])}) for test in one | other}


def _fitted(looks: Looks) -> Looks:
    """Return what a tag has room for."""
    return looks if len(_text(looks)) <= MAX_CHARACTERS else {_ALL: _most(looks)}


def _most(looks: Looks) -> list[int]:
    """Return those at the test that was looked at most often."""
    return max(looks.values(), key=_newest, default=[])


def _newest(looks: list[int]) -> tuple[int, ...]:
    """Return a sort key of looks: their number, and then the number of trials at the last one."""
    return len(looks), *looks[-1:]


def _tag(comparison_key: str) -> str:
    return f"{LOOKS_TAG}{_short(comparison_key)}"


def _text(looks: Looks) -> str:
    return json.dumps(looks, separators=(",", ":"))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
