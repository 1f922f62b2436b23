"""How many seeds a comparison gets: ``decide``, which adds seeds as long as they are needed, or a fixed number."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from benchbench.config.validation import Table
from benchbench.errors import SpecError

MIN_SEEDS = 3
"""For a verdict: the interval of two values ends 12.7 standard errors from their mean."""

MAX_SEEDS = 200
_LOOKS = (MIN_SEEDS, 5, 8, 12, 20, 32, 50, 80, 125)
"""Each about 1.6 times the one before."""

DEFAULT_MAX_SEEDS = 20


class Decide(Table):
    """``decide`` in ``[compare]``: after how many seeds to look, and how many to give each configuration at most."""

    max_seeds: int | None = Field(None, ge=MIN_SEEDS, le=MAX_SEEDS)
    looks: tuple[int, ...] = Field((), strict=False)

    def look_sizes(self) -> tuple[int, ...]:
        """Return the number of seeds at each look; raises :class:`SpecError` for looks that make no sense."""
        if not self.looks:
            return default_looks(self.max_seeds or DEFAULT_MAX_SEEDS)
        most = self.max_seeds or self.looks[-1]
        if list(self.looks) != sorted(set(self.looks)) or self.looks[0] < MIN_SEEDS or self.looks[-1] > MAX_SEEDS:
            raise SpecError(
                f"[compare] decide: looks must be increasing numbers from {MIN_SEEDS} to {MAX_SEEDS},"
                f" not {list(self.looks)}",
                hint=f"looks = {list(default_looks())}",
            )
        if self.looks[-1] != most:
            raise SpecError(
                f"[compare] decide: the last look is at {self.looks[-1]} seeds, and max_seeds is {most}",
                hint="end looks with max_seeds, or leave one of them out",
            )
        return self.looks


def default_looks(max_seeds: int = DEFAULT_MAX_SEEDS) -> tuple[int, ...]:
    """Return the looks that are taken by default."""
    return (*(number for number in _LOOKS if number < max_seeds), max_seeds)


@dataclass(frozen=True)
class Design:
    """Seeds in the order in which they are spent, and the number of seeds of each configuration at each look."""

    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    num_configurations: int

    @property
    def max_seeds(self) -> int:
        """Return the number of seeds at the last look."""
        return self.looks[-1]

    @staticmethod
    def after(first: tuple[int, ...], looks: tuple[int, ...], *, num_configurations: int) -> Design:
        """Return a design that begins with some seeds and goes on with the numbers that follow the largest."""
        if len(first) > looks[-1]:
            raise SpecError(
                f"the grid has {len(first)} seeds, and the last look is at {looks[-1]}",
                hint=f"fewer seeds, or none and decide = {{ max_seeds = {len(first)} }} in [compare]",
            )
        start = max(first) + 1
        seeds = (*first, *range(start, start + looks[-1]))[: looks[-1]]
        return Design(seeds, looks, num_configurations)

    def has_looks_of(self, other: Design | None) -> bool:
        """Tell whether another design looks at the same seeds, if there is one."""
        return other is not None and (self.seeds, self.looks) == (other.seeds, other.looks)


@dataclass(frozen=True)
class Designs:
    """The design by which a grid last added seeds, and those that it had before its file was changed.

    ``grids`` are the names of those that added seeds if several are meant.
    """

    current: Design | None = None
    earlier: tuple[Design, ...] = ()
    grids: tuple[str, ...] = ()
