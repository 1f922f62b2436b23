"""Plugins that listen to trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.made_records import events, made, spec

from benchbench.driver.listeners import Listeners

if TYPE_CHECKING:
    import pytest


def test_what_a_listener_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    listeners = Listeners([("mine.py", lambda **_: print("heard"))], on_trouble=print)
    listeners.tell(events(spec())[0], made(spec()))
    assert capsys.readouterr() == ("", "heard\n")
