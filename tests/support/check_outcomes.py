"""What a single check says of a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchbench.protocol.plugin_check_messages import CheckOutcome


def caught(outcomes: Iterable[CheckOutcome], check: str) -> CheckOutcome:
    """Return what a check says; the checks before it have nothing to say."""
    for outcome in outcomes:
        if outcome.check == check:
            assert outcome.result == "failed"
            assert outcome.fix
            return outcome
        assert outcome.result == "passed", outcome
    raise AssertionError(f"there is no check {check!r}")
