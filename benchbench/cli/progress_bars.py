"""Bars below the lines of a terminal: what is being done, how far it is, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn
from rich.table import Column
from rich.text import Text

from benchbench.cli.trial_lines import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import Console, RenderableType
    from rich.progress import Task, TaskID

BAR_WIDTH = 12
_TIMED_UNITS = ("batch", "image")
"""Their speed tells how long the rest will take."""


class _Description(ProgressColumn):
    """What is being done, the only column that gives way in a narrow terminal: its end becomes ``…``."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Count(ProgressColumn):
    """``batch 120/1500  0:01:10 left``; the time only if it is known and wanted."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s")
        left = _seconds_left(task)
        time_left = f"  {duration(left)} left" if left else ""
        return Text(f"{task.fields['unit']} {task.completed:.0f}/{task.total:.0f}{time_left}".lstrip())


def _seconds_left(task: Task) -> float | None:
    ends: float | None = task.fields.get("ends")
    if ends is not None:
        return max(0.0, ends - task.get_time())
    return task.time_remaining if task.fields["unit"] in _TIMED_UNITS else None


class Bars(Progress):
    """Bars by name; those named as the folder of a running trial read its batches whenever they are drawn."""

    def __init__(self, console: Console, *, auto_refresh: bool = True) -> None:
        self.num_trained: Callable[[], Mapping[str, int]] = dict
        self._tasks_by_name: dict[str, TaskID] = {}
        self._height = 0
        super().__init__(
            _Description(),
            BarColumn(bar_width=BAR_WIDTH, table_column=Column(no_wrap=True)),
            _Count(table_column=Column(no_wrap=True)),
            console=console,
            refresh_per_second=4,
            auto_refresh=auto_refresh,
            transient=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what rich draws, after reading how far each trial is; rows that are free stay, so nothing jumps."""
        num_trained = self.num_trained()
        for name, number in tuple(self._tasks_by_name.items()):
            if name in num_trained and self._tasks[number].fields["unit"] == "batch":
                self.update(number, completed=num_trained[name])
        tasks = self.tasks
        self._height = max(self._height, len(tasks))
        yield self.make_tasks_table(tasks)
        yield from [Text()] * (self._height - len(tasks))

    def show(
        self,
        name: str,
        text: str | None = None,
        *,
        completed: float | None = None,
        total: float | None = None,
        unit: str = "",
        seconds_left: float | None = None,
    ) -> None:
        """Show a bar, or change it; without a total it only tells how long it has been there."""
        if name not in self._tasks_by_name:
            self._tasks_by_name[name] = self.add_task(text or name, total=total, unit=unit)
        number = self._tasks_by_name[name]
        if seconds_left is not None:
            self._tasks[number].fields["ends"] = self.get_time() + seconds_left
        self.update(number, description=text, completed=completed)

    def show_in_row(self, name: str, text: str, *, total: float | None = None, unit: str = "") -> None:
        """Show a bar, or begin it anew in its row if it counts something else now; what has no unit only tells more."""
        if name in self._tasks_by_name:
            number = self._tasks_by_name[name]
            task = self._tasks[number]
            if task.fields["unit"] != unit and (unit or task.fields["unit"] != "batch"):
                task.total = total
                self.reset(number, description=text, unit=unit)
        self.show(name, text, total=total, unit=unit)

    def hide(self, *names: str) -> None:
        """Remove bars that are there."""
        for name in names:
            if name in self._tasks_by_name:
                self.remove_task(self._tasks_by_name.pop(name))
