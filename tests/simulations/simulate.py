"""What the statistics of bench compare promise, held against made trials of which the truth is known.

``make statistics`` runs all sections, or those that are named, and writes each table between the marks of its section
in docs/statistics.md. Each section has its own seed, so that it gives the same table alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import adaptive_seeds
import coverage_of_intervals
import error_rates
import power_of_advice

from benchbench.compare.text_tables import markdown_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    Section = Callable[[int], tuple[tuple[str, ...], list[tuple[str, ...]]]]

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
SECTIONS: dict[str, Section] = {
    "false verdicts": error_rates.false_verdicts,
    "means of seeds that did not learn": error_rates.mixed_means,
    "equivalence": error_rates.equivalence,
    "power": power_of_advice.power_at_advised_number,
    "pilots": power_of_advice.advice_of_pilots,
    "intervals": coverage_of_intervals.intervals,
    "population": coverage_of_intervals.population,
    "adaptive verdicts": adaptive_seeds.false_verdicts,
    "adaptive costs": adaptive_seeds.costs,
}


def main() -> None:
    """Run the sections and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--tables", type=int, default=2_000, help="how many made tables stand behind each number")
    arguments = parser.parse_args()
    for name in arguments.sections or SECTIONS:
        began = time.monotonic()
        columns, rows = SECTIONS[name](arguments.tables)
        table = markdown_rows(columns, rows)
        print(f"{name} ({time.monotonic() - began:.0f} s)\n{table}\n", flush=True)
        write(name, table)


def write(name: str, table: str) -> None:
    """Put a table between the marks of its section."""
    begin, end = f"<!-- {name}: written by make statistics -->\n", "<!-- end -->"
    head, mark, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    if not mark:
        raise SystemExit(f"{PAGE.name} has no section {name!r}")
    PAGE.write_text(f"{head}{begin}\n{table}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
