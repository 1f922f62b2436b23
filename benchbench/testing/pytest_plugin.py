"""For pytest: the fixture ``check_plugin``, which every environment with benchbench has.

It imports nothing that takes long, since pytest loads it at every start.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable


class CheckPlugin(Protocol):
    """What the fixture gives."""

    def __call__(self, *words: str, plugins: Iterable[str | Path] = (), data: str | Path | None = None) -> None:
        """Check plugins by name, path or package, as ``bench plugin check`` does.

        ``plugins`` are loose files in which names are looked for; ``data`` is where a dataset finds its images.
        """


@pytest.fixture
def check_plugin() -> CheckPlugin:
    """Give a function that fails the test with everything that is wrong with plugins, each with its fix."""

    def checked(*words: str, plugins: Iterable[str | Path] = (), data: str | Path | None = None) -> None:
        from benchbench.driver.plugin_check import check_plugins
        from benchbench.protocol.plugin_checks import failures_text

        roots = {} if data is None else {"": Path(data)}
        failures = failures_text(check_plugins(words, files=map(str, plugins), data=roots))
        if failures:
            pytest.fail(failures, pytrace=False)

    return checked
