"""What follows from the kind of a plugin."""

from __future__ import annotations

import pytest
from support.command_options import options_of

from benchbench.config.kinds import KINDS, OPTIONS


@pytest.mark.parametrize("command", ["run", "time"])
def test_every_kind_of_plugin_is_an_argument_or_an_option(command: str) -> None:
    assert options_of(command).keys() >= set(OPTIONS.values())
    assert {"model", "dataset", *OPTIONS} == set(KINDS)
