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

    def __call__(
        self,
        *words: str,
        plugins: Iterable[str | Path] = (),
        data: str | Path | None = None,
        image_size: int = 64,
        num_channels: int = 3,
    ) -> None:
        """Check plugins by name, path or package, as ``bench plugin check`` does.

        ``plugins`` are plugin files in which names are looked for; ``data`` is where a dataset finds its images.
        Models get images of ``image_size`` with ``num_channels``.
        """


@pytest.fixture
def check_plugin() -> CheckPlugin:
    """Give a function that fails the test with everything that is wrong with plugins, each with its fix."""

    def checked(
        *words: str,
        plugins: Iterable[str | Path] = (),
        data: str | Path | None = None,
        image_size: int = 64,
        num_channels: int = 3,
    ) -> None:
        from benchbench.driver.plugin_check import check_plugins
        from benchbench.protocol.plugin_check_messages import CheckedImages, failures_text, warn_of_notes

        roots, images = {} if data is None else {"": Path(data)}, CheckedImages(image_size, num_channels)
        reports = check_plugins(words, files=map(str, plugins), data=roots, images=images)
        failures = failures_text(reports)
        if failures:
            pytest.fail(failures, pytrace=False)
        warn_of_notes(reports)

    return checked
