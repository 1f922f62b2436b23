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
            now: dict[str, list[int]] = {}
            for test, number in num_trials.items():
                past = before.get(_short(test), before.get(_ALL, []))
                now[_short(test)] = [*past, number] if not past or number > past[-1] else past
            looks = before | now
            if len(_text(looks)) > MAX_CHARACTERS:
                looks = {_ALL: max(looks.values(), key=_newest)}
            if looks != before:
                self.client.set_experiment_tag(self.experiment_id, _tag(comparison_key), _text(looks))
        return max(now.values(), key=_newest, default=[])

    def recorded_looks(self, comparison_key: str, tests: Iterable[str]) -> list[int]:
        """Return the looks at some tests, without recording one; raises the same."""
        with as_tracking_error("cannot tell how often this comparison was looked at"):
            before = self._recorded(comparison_key)
        return max((before.get(_short(test), before.get(_ALL, [])) for test in tests), key=_newest, default=[])

    def _recorded(self, comparison_key: str) -> dict[str, list[int]]:
        tags = self.client.get_experiment(self.experiment_id).tags
        looks: dict[str, list[int]] = json.loads(tags.get(_tag(comparison_key), "{}"))
        return looks


@contextmanager
def open_look_history(experiment: str) -> Iterator[LookHistory]:
    """Open the history of an experiment's looks."""
    with looking_up(experiment) as (client, experiment_id):
        yield LookHistory(client, experiment_id)


def _newest(looks: list[int]) -> tuple[int, ...]:
    """Return a sort key of looks: their number, and then the number of trials at the last one."""
    return len(looks), *looks[-1:]


def _tag(comparison_key: str) -> str:
    return f"{LOOKS_TAG}{_short(comparison_key)}"


def _text(looks: Mapping[str, list[int]]) -> str:
    return json.dumps(looks, separators=(",", ":"))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
