"""How often a comparison was looked at, and with how many seeds, in the tags of its experiment."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.tracking.experiments import find_experiment
from benchbench.tracking.reading import as_tracking_error, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

LOOKS_TAG = "benchbench.looks."
DIGITS = 12
MAX_CHARACTERS = 5_000
"""Of an experiment's tag, mlflow/utils/validation.py."""

_ALL = ""
"""Stands for all rows, of a comparison with too many for a tag."""


@dataclass(frozen=True)
class LookMemory:
    """The looks at the comparisons of one experiment."""

    client: MlflowClient
    experiment_id: str

    def look(self, question: str, seeds: Mapping[str, int]) -> list[int]:
        """Remember a look at some rows with these numbers of seeds, and return the seeds of all looks, oldest first.

        Rows with no more seeds than at their last look are not looked at again. The looks are those of the row that
        has been looked at most often. Of hundreds of rows, no others are remembered. Raises
        :class:`~benchbench.errors.TrackingError` if the tags cannot be read or written.
        """
        with as_tracking_error("cannot remember how often this comparison was looked at"):
            tag = f"{LOOKS_TAG}{_short(question)}"
            before = json.loads(self.client.get_experiment(self.experiment_id).tags.get(tag, "{}"))
            now: dict[str, list[int]] = {}
            for row, number in seeds.items():
                past = before.get(_short(row), before.get(_ALL, []))
                now[_short(row)] = [*past, number] if not past or number > past[-1] else past
            looks = before | now
            if len(_text(looks)) > MAX_CHARACTERS:
                looks = {_ALL: max(looks.values(), key=len)}
            if looks != before:
                self.client.set_experiment_tag(self.experiment_id, tag, _text(looks))
        return max(now.values(), key=len, default=[])


@contextmanager
def look_memory(experiment: str) -> Iterator[LookMemory]:
    """Give the memory of an experiment's looks."""
    with reading() as store:
        experiment_id = find_experiment(store.client, store.tracking_uri, experiment).experiment_id
        yield LookMemory(store.client, experiment_id)


def _text(looks: Mapping[str, list[int]]) -> str:
    return json.dumps(looks, separators=(",", ":"))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
