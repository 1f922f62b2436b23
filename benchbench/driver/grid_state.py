"""What is kept of a grid file from one call to the next: its lock, and the trials that it had."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from benchbench.config.differences import describe_spec, varying
from benchbench.errors import SpecError
from benchbench.records.journal import ID_DIGITS, Journal
from benchbench.records.sqlite_addresses import relative
from benchbench.records.state import locked, read_state, state_folder, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchbench.config.spec import Spec


@dataclass(frozen=True)
class GridState:
    """The state of the grid file at a path, which need not have been run yet."""

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file's lock, so that no other call runs the same; raises :class:`SpecError` if one does."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self._file("lock"), timeout=0))
            except Timeout:
                raise SpecError(
                    f"{self.path} is being run by another process", hint="bench runs list shows how far it is"
                ) from None
            yield

    def begin(self, specs: Sequence[Spec]) -> None:
        """Remember which trials the file has now."""
        write_state(self._file("json"), [spec.id for spec in specs])

    def left_behind(self, specs: Sequence[Spec]) -> list[Journal]:
        """Return the interrupted trials that the file had at its last call and has no more."""
        gone = set(read_state(self._file("json"), list[str]) or ()) - {spec.id for spec in specs}
        last = [attempts[-1] for spec_id in sorted(gone) if (attempts := Journal.attempts(spec_id))]
        return [journal for journal in last if journal.is_interrupted()]

    def check_unchanged(self, specs: Sequence[Spec]) -> None:
        """Raise :class:`SpecError` if the file, as it is now, would leave interrupted trials behind."""
        left = self.left_behind(specs)
        if not left:
            return
        spec = left[0].record().spec
        example = describe_spec(spec, varying([spec, *specs]))
        raise SpecError(
            f"{self.path} has changed since its last call: {len(left)} interrupted trial(s) are no longer in it,"
            f" such as {example}",
            hint="change it back to finish them, or give --yes to leave them behind",
        )

    def _file(self, ending: str) -> Path:
        name = hashlib.sha256(str(relative(self.path.resolve())).encode()).hexdigest()[:ID_DIGITS]
        return state_folder() / "grids" / f"{name}.{ending}"
