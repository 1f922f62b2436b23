"""Options of Python, as functions take them."""

from __future__ import annotations

from pathlib import Path

from benchbench.driver.settings import texts_of


def test_options_may_name_one_thing_or_several() -> None:
    assert texts_of("optimizer.lr") == ("optimizer.lr",)
    assert texts_of(Path("mine.py")) == ("mine.py",)
    assert texts_of(["a.py", Path("b.py")]) == ("a.py", "b.py")
    assert texts_of("") == texts_of(None) == texts_of([]) == ()
