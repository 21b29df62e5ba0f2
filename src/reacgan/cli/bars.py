"""How far a command is, on standard error: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reacgan import progress
from reacgan.cli import streams
from reacgan.progress import counts, duration, named, time_left
from reacgan.text import one_line, plain_lines

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from reacgan.progress import Task

WORTH_A_LINE = 2.0
"""Seconds that a stage takes if it leaves a line when it has ended."""
_WORTH_A_BAR = 0.3
_BETWEEN_LINES = 15.0


@contextmanager
def shown(*, quiet: bool = False, announce: bool = False) -> Iterator[None]:
    """Within the block, stages of work are shown.

    Args:
        quiet: nothing at all.
        announce: without a terminal, a line where a stage begins; else none for a short one.
    """
    if quiet:
        with progress.listening(_Nothing()):
            yield
    elif streams.line_moves():
        with _bars() as bars, progress.listening(bars):
            yield
    else:
        with progress.listening(_Lines(announce=announce)):
            yield


@contextmanager
def loading(*, quiet: bool = False) -> Iterator[None]:
    """While PyTorch is imported, which takes seconds, a terminal says so; no line stays."""
    if quiet or not streams.line_moves():
        yield
        return
    streams.draw("loading PyTorch ...\r")
    try:
        yield
    finally:
        streams.draw("\x1b[2K\r")


class _Nothing:
    def changed(self, stage: Task) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Lines:
    """A line where a stage begins or has taken long, and further ones while it goes on."""

    def __init__(self, *, announce: bool) -> None:
        self._announce = announce
        self._said: set[str] = set()
        self._open: dict[Task, tuple[float, float]] = {}

    def say(self, text: str) -> None:
        streams.tell(text)

    def changed(self, stage: Task) -> None:
        now = time.monotonic()
        if stage.ended:
            began, line_at = self._open.pop(stage)
            if not (self._announce or self._open) and _worth_a_line(stage, now - began):
                streams.tell(f"{named(stage)}, {duration(now - began)}")
        elif stage not in self._open:
            line = named(stage)
            if self._announce and not self._open and line not in self._said:
                self._said.add(line)  # once, however often the same headers are read
                streams.tell(line)
            self._open[stage] = now, now
        else:
            began, line_at = self._open[stage]
            if now - line_at >= _BETWEEN_LINES and stage.done != stage.total:
                self._open[stage] = began, now
                streams.tell(f"  {stage.what}: {counts(stage)}{time_left(stage, now - began)}")


class _Bars:
    """A bar for each stage that goes on; it leaves a line where it took long.

    Between stages nothing moves, so that what is printed to standard output stays whole.
    """

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._tasks: dict[Task, tuple[TaskID, float]] = {}

    def say(self, text: str) -> None:
        self._display.console.print(plain_lines(text), markup=False, highlight=False)

    def changed(self, stage: Task) -> None:
        now = time.monotonic()
        if stage.ended:
            self._end(stage, now)
            return
        if stage not in self._tasks:
            inner = bool(self._tasks)
            if not inner:
                self._display.start()
                self._display.console.show_cursor(True)  # also where the process is killed
            task = self._display.add_task(
                ("  " if inner else "") + one_line(stage.what),
                total=stage.total,
                completed=stage.done,
                count="",
                visible=not inner,
            )
            self._tasks[stage] = task, now
        task, began = self._tasks[stage]
        self._display.update(
            task,
            completed=stage.done,
            total=stage.total,
            count=counts(stage),
            visible=True if now - began > _WORTH_A_BAR else None,
        )

    def _end(self, stage: Task, now: float) -> None:
        task, began = self._tasks.pop(stage)
        self._display.remove_task(task)
        if not self._tasks:
            self._display.stop()
        if not self._tasks and _worth_a_line(stage, now - began):
            self.say(f"{named(stage)}, {duration(now - began)}")


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.console import Console, RenderableType  # noqa: PLC0415 - where a bar is shown alone
    from rich.constrain import Constrain  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    console = Console(stderr=True)

    class Narrower(Progress):
        """Leaves room for the terminal's own ^C, which would break the line and leave the bar there."""

        def get_renderables(self) -> Iterable[RenderableType]:
            yield Constrain(self.make_tasks_table(self.tasks), max(console.width - 3, 1))

    display = Narrower(
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=2, no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TextColumn("{task.fields[count]}", markup=False, table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        transient=True,
        redirect_stdout=False,  # what is printed there is for programs
        expand=True,
    )
    try:
        yield _Bars(display)
    finally:
        display.stop()


def _worth_a_line(stage: Task, spent: float) -> bool:
    """Whether to say that it is done: what was interrupted is not."""
    return spent >= WORTH_A_LINE and not stage.broken
