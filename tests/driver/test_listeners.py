"""Plugins that listen to trials."""

from __future__ import annotations

import pytest
from support.made_records import events, made, spec

from benchbench import variables
from benchbench.driver.listeners import Listeners


def test_what_a_listener_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    listeners = Listeners([("mine.py", lambda **_: print("heard"))], on_trouble=print)
    listeners.tell(events(spec())[0], made(spec()))
    assert capsys.readouterr() == ("", "heard\n")


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_listener_that_fails_shows_its_traceback_only_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str
) -> None:
    monkeypatch.setenv(variables.DEBUG, debug)
    notes: list[str] = []
    Listeners([("mine.py", lambda **_: 1 / 0)], on_trouble=notes.append).tell(events(spec())[0], made(spec()))
    assert "listener mine.py failed" in notes[0]
    assert ("Traceback" in capsys.readouterr().err) == bool(debug)
