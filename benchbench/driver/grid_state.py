"""What is kept of a grid file from one call to the next: its lock, and the trials that it had."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from benchbench.config.differences import describe_spec, varying
from benchbench.errors import SpecError, counted
from benchbench.records.journal import ID_DIGITS, Journal
from benchbench.records.sqlite_addresses import relative
from benchbench.records.state import locked, read_state, state_folder, write_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
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

    def left_behind(self, specs: Sequence[Spec], *, deleted: Collection[str] = ()) -> list[Journal]:
        """Return the interrupted trials of the file's last call that are not among the specs.

        ``deleted`` are attempts whose runs someone deleted in MLflow: they count as never run.
        """
        gone = set(read_state(self._file("json"), list[str]) or ()) - {spec.id for spec in specs}
        attempts = [
            [journal for journal in Journal.attempts(spec_id) if journal.attempt not in deleted]
            for spec_id in sorted(gone)
        ]
        return [journals[-1] for journals in attempts if journals and journals[-1].is_interrupted()]

    def check_all_included(self, specs: Sequence[Spec], *, deleted: Collection[str] = ()) -> None:
        """Raise :class:`SpecError` if a call with these trials would leave interrupted ones behind."""
        left = self.left_behind(specs, deleted=deleted)
        if not left:
            return
        spec = left[0].record().spec
        example = describe_spec(spec, varying([spec, *specs]))
        raise SpecError(
            f"this call has other trials than the last one of {self.path}: "
            f"{counted(len(left), 'interrupted trial is', 'interrupted trials are')} not among them, such as {example}",
            hint="run it as before (the file, --set, --precision, plugins) to finish them,"
            " or give --yes to leave them behind",
        )

    def _file(self, ending: str) -> Path:
        name = hashlib.sha256(str(relative(self.path.resolve())).encode()).hexdigest()[:ID_DIGITS]
        return state_folder() / "grids" / f"{name}.{ending}"
