"""How often the advised number of seeds shows a difference, and how good the advice of a small pilot is."""

from __future__ import annotations

import numpy as np
from rates import rate
from scipy import stats

from benchbench.compare.contrasts import contrast
from benchbench.compare.power import MAX_SEEDS, advise, power, seeds_needed

DESIGNS = {"pairs": (1.0,), "Welch": (1.0, 1.0), "Welch, deviations 0.6 and 1.2": (0.6, 1.2)}
LEVELS = {"1 comparison": 0.05, "1 of 6 comparisons": 0.05 / 6}


def power_at_advised_number(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the simulated power of the test that decides at the number of seeds that is advised."""
    random, rows = np.random.default_rng(4), []
    for design, deviations in DESIGNS.items():
        for name, level in LEVELS.items():
            for effect in (0.5, 0.75, 1.0, 1.5, 2.0):
                needed = seeds_needed(effect, deviations, level=level)
                if needed is None:
                    continue
                shape = (10 * num_tables, needed)
                ours = random.normal(effect, deviations[0], shape)
                theirs = random.normal(0, deviations[-1], shape)
                test = (
                    stats.ttest_1samp(ours, 0, axis=1)
                    if len(deviations) == 1
                    else stats.ttest_ind(ours, theirs, axis=1, equal_var=False)
                )
                shown = rate(int(np.sum(test.pvalue < level)), shape[0])
                fewer = float(power(np.array([needed - 1]), effect, deviations, level=level)[0])
                rows.append((design, name, f"{effect:g}", f"{needed}", shown, f"{fewer:.0%}".replace("%", " %")))
    columns = (
        "test",
        "level for",
        "difference in deviations",
        "seeds advised",
        "power, simulated",
        "with one seed fewer",
    )
    return columns, rows


def advice_of_pilots(num_tables: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return how often the interval of a pilot's advice holds the number that its difference truly needs."""
    random, rows = np.random.default_rng(5), []
    for design, deviations in list(DESIGNS.items())[:2]:
        for seeds in (3, 5, 10):
            held = total = 0
            for _ in range(num_tables):
                gains = random.normal(0.6, deviations[0], seeds), random.normal(0, deviations[-1], seeds)
                base = np.zeros(seeds) if len(deviations) == 1 else gains[1]
                first = 0 if len(deviations) == 1 else 100
                ours = {str(seed): float(value) for seed, value in enumerate(gains[0])}
                theirs = {str(seed): float(value) for seed, value in enumerate(base, start=first)}
                found = contrast(ours, theirs, as_ratio=False, confidence=0.95)
                advice = advise(found, level=0.05)
                if advice is None:
                    continue
                low, true, high = (
                    MAX_SEEDS + 1 if number is None else number
                    for number in (advice.low, seeds_needed(found.difference, deviations, level=0.05), advice.high)
                )
                held += low <= true <= high
                total += 1
            rows.append((design, f"{seeds}", rate(held, total)))
    return ("test", "seeds of the pilot", "intervals of 80 % that hold the number"), rows
