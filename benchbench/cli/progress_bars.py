"""Bars below the lines of a terminal: what is being done, how far it is, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from benchbench.cli.trial_lines import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import Console, RenderableType
    from rich.progress import Task, TaskID

BAR_WIDTH = 12
"""Short, so that a terminal that is made narrower does not break the bars into lines."""


class _Count(ProgressColumn):
    """``batch 120/1500  0:01:10 left``; the time only if it is known and wanted."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s")
        left = task.time_remaining if task.fields["has_time"] else None
        time_left = f"  {duration(left)} left" if left else ""
        return Text(f"{task.fields['unit']} {task.completed:.0f}/{task.total:.0f}{time_left}".lstrip())


class Bars(Progress):
    """Bars by name; those named as the folder of a running trial read its batches whenever they are drawn."""

    def __init__(self, console: Console, *, auto_refresh: bool = True) -> None:
        self.num_trained: Callable[[], Mapping[str, int]] = dict
        self._tasks_by_name: dict[str, TaskID] = {}
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            _Count(),
            console=console,
            refresh_per_second=4,
            auto_refresh=auto_refresh,
            transient=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what rich draws, after reading how far each trial is."""
        num_trained = self.num_trained()
        for name, task in tuple(self._tasks_by_name.items()):
            if name in num_trained:
                self.update(task, completed=num_trained[name])
        yield from super().get_renderables()

    def show(
        self,
        name: str,
        text: str | None = None,
        *,
        completed: float | None = None,
        total: float | None = None,
        unit: str = "",
    ) -> None:
        """Show a bar, or change it; without a total it only tells how long it has been there."""
        if name not in self._tasks_by_name:
            has_time = unit in ("batch", "image")
            self._tasks_by_name[name] = self.add_task(text or name, total=total, unit=unit, has_time=has_time)
        self.update(self._tasks_by_name[name], description=text, completed=completed)

    def hide(self, *names: str) -> None:
        """Remove bars that are there."""
        for name in names:
            if name in self._tasks_by_name:
                self.remove_task(self._tasks_by_name.pop(name))
